// systemd's side of sd_notify(3), for the services that a test starts: what it is told, and the sockets that it keeps
// for them (FDSTORE=1). While it is there NOTIFY_SOCKET names it. Failures throw. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/io/descriptor.h"
#include "proxy/io/socket.h"

namespace pgkeel::test {

class ServiceManagerOfTest {
 public:
  explicit ServiceManagerOfTest(const std::string& socket_path);
  ~ServiceManagerOfTest();
  ServiceManagerOfTest(const ServiceManagerOfTest&) = delete;
  ServiceManagerOfTest& operator=(const ServiceManagerOfTest&) = delete;

  // The ports that are kept under this name, as far as it was told by now.
  [[nodiscard]] std::vector<std::uint16_t> kept(const std::string& name);
  // All that is kept, each once.
  [[nodiscard]] const std::vector<NamedSocket>& sockets();
  // Whether a line of VARIABLE=value that begins like this has come by now.
  [[nodiscard]] bool was_told(const std::string& beginning_of_line);

 private:
  bool hear();

  Descriptor socket_;
  std::vector<NamedSocket> store_;
  std::string told_;  // each line behind a line break
};

}  // namespace pgkeel::test
