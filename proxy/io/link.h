// One end of a session: a connected socket on a loop, and why it is not read from. Loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "proxy/io/fd_watch.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class Loop;

// Reading stops for a named reason; it goes on when none is left.
enum class PauseReason : std::uint8_t {
  kPeerBufferFull = 1,  // the other side does not take what was read
  kLogin = 2,           // the server has not asked the client for anything yet
};

class Link {
 public:
  // The callback may destroy the link.
  Link(Loop& loop, Socket socket, std::function<void(FdInterest ready)> on_ready);
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

  // After kEnd the link is not read any more.
  IoResult read(std::span<std::byte> into);
  IoResult write(std::span<const std::byte> bytes) { return socket_.write(bytes); }

  [[nodiscard]] bool read_to_end() const { return read_to_end_; }
  [[nodiscard]] bool has_unread_bytes() const { return socket_.has_unread_bytes(); }
  int take_error() { return socket_.take_error(); }
  void shut_down_writing() { socket_.shut_down_writing(); }
  void close();
  void reset();  // see Socket::reset
  Socket release();
  [[nodiscard]] bool is_open() const { return socket_.is_open(); }

  // A peer that is there but does not read must not be taken for one that is gone (TCP_USER_TIMEOUT counts both).
  // To be called every now and then, more often than the limit.
  void review_acknowledge_limit();

 private:
  void update_interest();

  Socket socket_;
  std::unique_ptr<FdWatch> watch_;
  std::uint8_t pauses_ = 0;
  bool await_writable_ = false;
  bool read_to_end_ = false;
  bool peer_closed_acknowledged_ = false;
  bool acknowledge_limit_lifted_ = false;
};

}  // namespace pgkeel
