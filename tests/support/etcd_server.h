// An etcd of one member on free ports, in a folder that goes with the test. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/background_process.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

struct EtcdOptions {
  std::string cert = {};  // PEM files; it speaks TLS where they are given
  std::string key = {};
  std::string client_ca = {};  // where given, whoever shows no certificate of this authority is refused
};

class EtcdServer {
 public:
  explicit EtcdServer(EtcdOptions options = {});  // returns when it answers

  [[nodiscard]] const std::string& url() const { return url_; }
  void freeze();
  void thaw();
  void kill();   // SIGKILL
  void start();  // again, with what it has stored

  // As an administrator's etcdctl. `ca`: whom to believe to be this etcd. Throws where it fails.
  void control(const std::string& ca, const std::vector<std::string>& arguments) const;

 private:
  const EtcdOptions options_;
  TemporaryFolder folder_;
  std::uint16_t client_port_;
  std::uint16_t peer_port_;
  std::string url_;
  std::optional<BackgroundProcess> process_;
};

}  // namespace pgkeel::test
