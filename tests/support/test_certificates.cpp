#include "tests/support/test_certificates.h"

#include <stdexcept>
#include <unistd.h>

#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/os_user.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

// Servers, which run as another user, and psql, which may run as us, both refuse keys that others can read.
void write(const std::string& path, const std::string& text) {
  const auto user = must(find_os_user(server_user()));
  if (auto written = write_durably(path, text, 0600, FileOwner{user.uid, user.gid}); !written)
    throw std::runtime_error(written.error().message);
}

Validity validity(Duration valid_for) {
  return {wall_now() - 1h, wall_now() + valid_for};
}

}  // namespace

TestCertificates::TestCertificates(const std::string& folder) {
  const auto authority = must(make_authority(validity(24h * 365)));
  const auto strange = must(make_authority(validity(24h * 365)));
  authority_pem_ = authority.certificate_pem;
  authority_key_pem_ = authority.key_pem;
  strange_pem_ = strange.certificate_pem;
  strange_key_pem_ = strange.key_pem;
  const auto in_folder = [&](const char* name) { return folder + "/" + name; };
  write(ca = in_folder("ca.crt"), authority.certificate_pem);
  write(strange_ca = in_folder("strange_ca.crt"), strange.certificate_pem);
  cert = in_folder("tls.crt");
  key = in_folder("tls.key");
  write_server(cert, key, {"localhost", "127.0.0.1", "proxy.example"});
  strange_cert = in_folder("strange.crt");
  strange_key = in_folder("strange.key");
  write_server(strange_cert, strange_key, {"localhost", "127.0.0.1"}, 24h * 365, true);
  const CertificateRequest client{.role = CertificateRole::kProxy, .hosts = {}, .validity = validity(24h * 365)};
  const auto own = must(issue_certificate(authority, client));
  write(client_cert = in_folder("client.crt"), own.certificate_pem);
  write(client_key = in_folder("client.key"), own.key_pem);
  const auto both = must(issue_certificate(
      authority, {.role = CertificateRole::kProxy, .hosts = {"127.0.0.1"}, .validity = validity(24h * 365)}));
  write(both_cert = in_folder("both.crt"), both.certificate_pem);
  write(both_key = in_folder("both.key"), both.key_pem);
  const auto other = must(issue_certificate(strange, client));
  write(strange_client_cert = in_folder("strange_client.crt"), other.certificate_pem);
  write(strange_client_key = in_folder("strange_client.key"), other.key_pem);
}

void TestCertificates::write_server(const std::string& certificate_file, const std::string& key_file,
                                    const std::vector<std::string>& hosts, Duration valid_for, bool strange) const {
  const KeyedCertificate authority =
      strange ? KeyedCertificate{strange_pem_, strange_key_pem_} : KeyedCertificate{authority_pem_, authority_key_pem_};
  const auto made = must(
      issue_certificate(authority, {.role = CertificateRole::kAgent, .hosts = hosts, .validity = validity(valid_for)}));
  write(key_file, made.key_pem);
  write(certificate_file, made.certificate_pem);
}

std::string TestCertificates::client_tls(const std::string& mode) const {
  return "client_tls = { mode = \"" + mode + "\", cert = \"" + cert + "\", key = \"" + key + "\" }";
}

}  // namespace pgkeel::test
