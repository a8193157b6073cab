#include "proxy/io/link.h"

namespace pgkeel {

Link::Link(Loop& loop, Socket socket, std::function<void(FdInterest)> on_ready)
    : socket_(std::move(socket)), watch_(std::make_unique<FdWatch>(loop, socket_.descriptor(), std::move(on_ready))) {
  update_interest();
}

void Link::pause_reading(PauseReason reason) {
  pauses_ |= static_cast<std::uint8_t>(reason);
  update_interest();
}

void Link::resume_reading(PauseReason reason) {
  pauses_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(reason));
  update_interest();
}

void Link::acknowledge_peer_closed() {
  peer_closed_acknowledged_ = true;
  update_interest();
}

void Link::await_writable(bool wanted) {
  await_writable_ = wanted;
  update_interest();
}

void Link::update_interest() {
  if (!watch_) return;
  const bool paused = pauses_ != 0;
  watch_->set_interest({.readable = !paused && !read_to_end_,
                        .writable = await_writable_,
                        .peer_closed = paused && !read_to_end_ && !peer_closed_acknowledged_});
}

IoResult Link::read(std::span<std::byte> into) {
  const IoResult result = socket_.read(into);
  if (result.kind == IoResult::Kind::kEnd) {
    read_to_end_ = true;
    update_interest();
  }
  return result;
}

void Link::close() {
  watch_.reset();
  socket_.close();
}

void Link::reset() {
  watch_.reset();
  socket_.reset();
}

Socket Link::release() {
  watch_.reset();
  return std::move(socket_);
}

void Link::review_acknowledge_limit() {
  if (!socket_.is_open()) return;
  const bool waits_for_reader = socket_.peer_has_closed_its_window();
  if (waits_for_reader == acknowledge_limit_lifted_) return;
  acknowledge_limit_lifted_ = waits_for_reader;
  socket_.set_acknowledge_limit(!waits_for_reader);
}

}  // namespace pgkeel
