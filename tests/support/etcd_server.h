// An etcd of one member on free ports, in a folder that goes with the test. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/background_process.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

class EtcdServer {
 public:
  EtcdServer();  // returns when it answers

  [[nodiscard]] const std::string& url() const { return url_; }
  void freeze();
  void thaw();
  void kill();   // SIGKILL
  void start();  // again, with what it has stored

 private:
  TemporaryFolder folder_;
  std::uint16_t client_port_;
  std::uint16_t peer_port_;
  std::string url_;
  std::optional<BackgroundProcess> process_;
};

}  // namespace pgkeel::test
