// Certificates for tests of TLS, in PEM files of a folder: an authority, what it signed, and another authority. Throws.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::test {

struct TestCertificates {
  explicit TestCertificates(const std::string& folder);

  // A new certificate for a server, signed by the authority (`strange`: by the other one). Files that are there are
  // replaced, one after the other.
  void write_server(const std::string& certificate_file, const std::string& key_file,
                    const std::vector<std::string>& hosts, Duration valid_for = std::chrono::hours(24 * 365),
                    bool strange = false) const;

  // A line of a cluster's configuration: clients see `cert`.
  [[nodiscard]] std::string client_tls(const std::string& mode) const;

  std::string ca, strange_ca;
  std::string cert, key;                  // for localhost, 127.0.0.1 and proxy.example
  std::string strange_cert, strange_key;  // the same, of the other authority
  std::string client_cert, client_key;
  std::string strange_client_cert, strange_client_key;
  std::string both_cert, both_key;  // a server's for 127.0.0.1, and a client's: etcd is one of itself

 private:
  std::string authority_pem_, authority_key_pem_, strange_pem_, strange_key_pem_;
};

}  // namespace pgkeel::test
