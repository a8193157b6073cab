// A way to a server on this host that can be cut for whoever takes it: connections to port() are carried to the
// server's port; while it is cut, nothing passes and nobody is refused. It may also let nobody new through. One thread
// of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace pgkeel::test {

class TcpRelay {
 public:
  explicit TcpRelay(std::uint16_t server_port);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void cut() { is_cut_ = true; }
  void heal() { is_cut_ = is_for_nobody_new_ = false; }
  // Who is connected goes on.
  void let_nobody_new_through() { is_for_nobody_new_ = true; }

 private:
  void run();

  const std::uint16_t server_port_;
  int listening_;
  std::uint16_t port_ = 0;
  std::atomic<bool> is_cut_{false};
  std::atomic<bool> is_for_nobody_new_{false};
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace pgkeel::test
