#include "proxy/io/link.h"

#include "proxy/io/loop.h"

namespace pgkeel {

Link::Link(Loop& loop, Socket socket, std::function<void(FdInterest)> on_ready)
    : loop_(loop),
      socket_(std::move(socket)),
      on_ready_(std::move(on_ready)),
      watch_(std::make_unique<FdWatch>(loop, socket_.descriptor(), on_ready_)) {
  update_interest();
}

Link::~Link() = default;

void Link::pause_reading(PauseReason reason) {
  pauses_ |= static_cast<std::uint8_t>(reason);
  update_interest();
}

void Link::resume_reading(PauseReason reason) {
  pauses_ &= static_cast<std::uint8_t>(~static_cast<unsigned>(reason));
  update_interest();
  if (tls_) go_on_reading();
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
  if (is_shaking_hands()) {
    watch_->set_interest({.readable = !tls_->handshake_writes, .writable = tls_->handshake_writes});
    return;
  }
  const bool paused = pauses_ != 0;
  watch_->set_interest({.readable = !paused && !read_to_end_,
                        .writable = await_writable_,
                        .peer_closed = paused && !read_to_end_ && !peer_closed_acknowledged_});
}

IoResult Link::read(std::span<std::byte> into) {
  const IoResult result = tls_ ? read_tls(into) : socket_.read(into);
  if (result.kind == IoResult::Kind::kEnd) {
    read_to_end_ = true;
    update_interest();
  }
  return result;
}

void Link::start_tls(std::unique_ptr<TlsStream> tls) {
  tls_ = std::make_unique<Tls>();
  tls_->stream = std::move(tls);
}

TlsStream::Progress Link::shake_hands() {
  const TlsStream::Progress progress = tls_->stream->handshake(socket_);
  tls_->handshake_writes = progress == TlsStream::Progress::kNeedsWrite;
  if (progress == TlsStream::Progress::kDone) tls_->shaking_hands = false;
  update_interest();
  return progress;
}

void Link::abandon_tls() {
  tls_.reset();
  update_interest();
}

IoResult Link::read_tls(std::span<std::byte> into) {
  const IoResult result = tls_->stream->read(socket_, into);
  go_on_reading();
  return result;
}

// What the stream has taken from the socket is not announced by the kernel.
void Link::go_on_reading() {
  if (pauses_ != 0 || tls_->goes_on || !tls_->stream->has_more()) return;
  tls_->goes_on = true;
  loop_.defer([this, alive = std::weak_ptr<bool>(tls_->alive)] {
    if (alive.expired()) return;
    tls_->goes_on = false;
    if (pauses_ != 0 || !watch_ || !tls_->stream->has_more()) return;
    const auto on_ready = on_ready_;  // it may destroy us
    on_ready({.readable = true});
  });
}

void Link::shut_down_writing() {
  // A peer that reads so little that this does not fit gets the FIN alone.
  if (tls_) tls_->stream->close_notify(socket_);
  socket_.shut_down_writing();
}

void Link::close() {
  watch_.reset();
  socket_.close();
}

void Link::reset() {
  watch_.reset();
  socket_.reset();
}

Link::Released Link::release() {
  watch_.reset();
  return {std::move(socket_), tls_ ? std::move(tls_->stream) : nullptr};
}

void Link::review_acknowledge_limit() {
  if (!socket_.is_open()) return;
  const bool waits_for_reader = socket_.peer_has_closed_its_window();
  if (waits_for_reader == acknowledge_limit_lifted_) return;
  acknowledge_limit_lifted_ = waits_for_reader;
  socket_.set_acknowledge_limit(!waits_for_reader);
}

}  // namespace pgkeel
