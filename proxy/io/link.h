// One end of a session: a connected socket on a loop, from start_tls() on with TLS over it, and why it is not read
// from. Loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "proxy/io/fd_watch.h"
#include "proxy/io/socket.h"
#include "proxy/io/tls_stream.h"

namespace pgkeel {

class Loop;

// Reading stops for a named reason; it goes on when none is left.
enum class PauseReason : std::uint8_t {
  kPeerBufferFull = 1,  // the other side does not take what was read
  kLogin = 2,           // the server has not asked the client for anything yet
  kDrain = 4,           // no transaction is open, and none shall begin: a switchover is under way
};

class Link {
 public:
  // The callback may destroy the link.
  Link(Loop& loop, Socket socket, std::function<void(FdInterest ready)> on_ready);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Reading begins at once. While it is paused, a peer that goes away is reported as peer_closed (until the report is
  // acknowledged), or as failed.
  void pause_reading(PauseReason reason);
  void resume_reading(PauseReason reason);
  [[nodiscard]] bool reading_paused() const { return pauses_ != 0; }
  void acknowledge_peer_closed();
  void await_writable(bool wanted);
  // After it was reported as failed, and there may be more to read.
  void watch_on() { update_interest(); }

  // Nothing is read or written as data until shake_hands() is done: call it at once, and whenever the link is ready.
  // The one that it returns as done may have left bytes to read that no event tells of.
  void start_tls(std::unique_ptr<TlsStream> tls);
  TlsStream::Progress shake_hands();
  [[nodiscard]] bool is_shaking_hands() const { return tls_ && tls_->shaking_hands; }
  // Null: none was started.
  [[nodiscard]] const TlsStream* tls() const { return tls_ ? tls_->stream.get() : nullptr; }
  // It has failed: what comes is not looked at any more, as if it were data.
  void abandon_tls();

  // After kEnd the link is not read any more.
  IoResult read(std::span<std::byte> into);
  IoResult write(std::span<const std::byte> bytes) {
    return tls_ ? tls_->stream->write(socket_, bytes) : socket_.write(bytes);
  }

  [[nodiscard]] bool read_to_end() const { return read_to_end_; }
  [[nodiscard]] bool has_unread_bytes() {
    return tls_ ? tls_->stream->has_unread_bytes(socket_) : socket_.has_unread_bytes();
  }
  int take_error() { return socket_.take_error(); }
  void shut_down_writing();
  void close();
  void reset();  // see Socket::reset
  // No link any more; `tls` is what was started on the socket.
  struct Released {
    Socket socket;
    std::unique_ptr<TlsStream> tls;
  };
  Released release();
  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  [[nodiscard]] SocketAddress local() const { return socket_.local(); }

  // A peer that is there but does not read must not be taken for one that is gone (TCP_USER_TIMEOUT counts both).
  // To be called every now and then, more often than the limit.
  void review_acknowledge_limit();

 private:
  struct Tls {
    std::unique_ptr<TlsStream> stream;
    bool shaking_hands = true;
    bool handshake_writes = false;  // it waits for the socket to be writable
    bool goes_on = false;           // a call of on_ready_ for what the stream holds is on its way
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  };

  void update_interest();
  IoResult read_tls(std::span<std::byte> into);
  void go_on_reading();

  Loop& loop_;
  Socket socket_;
  std::function<void(FdInterest)> on_ready_;
  std::unique_ptr<FdWatch> watch_;
  std::unique_ptr<Tls> tls_;
  std::uint8_t pauses_ = 0;
  bool await_writable_ = false;
  bool read_to_end_ = false;
  bool peer_closed_acknowledged_ = false;
  bool acknowledge_limit_lifted_ = false;
};

}  // namespace pgkeel
