// The far end of a connection, as a script plays it: a client, or a server. Blocks; what does not come in half a minute
// is an exception that fails the test. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgkeel::test {

class Peer {
 public:
  Peer() = default;
  explicit Peer(int descriptor);
  ~Peer() { close(); }
  Peer(Peer&& other) noexcept;
  Peer& operator=(Peer&& other) noexcept;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // `from`: the client's own address ("127.0.0.2"), where that matters.
  static Peer connect_to(std::uint16_t port, const char* from = nullptr);
  // Whether somebody listens there.
  static bool can_connect_to(std::uint16_t port);
  // Before anything is sent: what the kernel may hold for this end is small.
  void shrink_buffers();

  void send(std::string_view bytes);
  std::size_t send_what_fits(std::string_view bytes);  // does not block
  void finish_sending();                               // FIN

  std::string receive(std::size_t size);  // exactly so many; fewer where the connection ends before
  std::string receive_some();             // what is there, at least a byte; empty at the end
  std::string receive_message();          // one typed message; empty at the end
  std::string receive_to_end();
  // How the connection ended, after receive_to_end().
  [[nodiscard]] bool ended_by_reset() const { return ended_by_reset_; }
  // Whether bytes, or the end, are there now.
  [[nodiscard]] bool has_something_to_read() const;

  void close();
  void reset();  // RST
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
  bool ended_by_reset_ = false;
};

// Where a scripted server is reached.
class PeerListener {
 public:
  PeerListener();
  ~PeerListener() { close(); }
  PeerListener(const PeerListener&) = delete;
  PeerListener& operator=(const PeerListener&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  Peer accept();
  [[nodiscard]] bool somebody_waits() const;
  void close();   // from now on: connection refused
  void reopen();  // at the same port

 private:
  void listen();

  int descriptor_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace pgkeel::test
