#include "proxy/cancel/cancel_forwarder.h"

#include <array>
#include <utility>

#include "proxy/base/bytes.h"

namespace pgkeel {
namespace {

constexpr Duration kLimit = std::chrono::seconds(5);

}  // namespace

CancelForwarder::CancelForwarder(Loop& loop, const BootDeadline& deadline, AcceptedClient client, std::string packet,
                                 std::function<void(End)> on_done)
    : loop_(loop),
      deadline_(deadline),
      client_(std::move(client)),
      packet_(std::move(packet)),
      on_done_(std::move(on_done)),
      limit_(loop, [this] { finish(); }) {
  limit_.start_once(kLimit);
}

void CancelForwarder::start(Resolver& resolver, const HostPort& server, std::shared_ptr<const TlsContext> tls) {
  started_ = true;
  host_ = server.host;
  if (!host_.starts_with('/')) tls_ = std::move(tls);
  resolving_ = resolver.resolve(server, [this](const Result<Resolver::Addresses>& found) {
    if (found) addresses_ = *found;
    connect_to_next_address();
  });
}

void CancelForwarder::connect_to_next_address() {
  server_.reset();
  while (next_address_ < addresses_.size()) {
    auto socket = Socket::connect_to(addresses_[next_address_++]);
    if (!socket) continue;
    socket->set_link_options();
    server_ = std::make_unique<Link>(loop_, std::move(*socket), [this](FdInterest ready) { server_ready(ready); });
    server_->await_writable(true);
    return;
  }
  finish();
}

void CancelForwarder::server_ready(FdInterest ready) {
  if (!sent_) {
    if (!ready_to_send(ready)) return;
    if (deadline_.is_over()) {
      finish();
      return;
    }
    // A cancel request is at most 268 bytes: a new socket takes it whole.
    const IoResult written = server_->write(as_bytes(packet_));
    if (written.kind == IoResult::Kind::kWouldBlock) {
      server_->await_writable(true);
      return;
    }
    sent_ = written.kind == IoResult::Kind::kBytes && written.bytes == packet_.size();
    if (!sent_) {
      finish();
      return;
    }
    server_->await_writable(false);
  }
  std::array<std::byte, 64> ignored{};
  if (ready.readable && server_->read(ignored).kind != IoResult::Kind::kWouldBlock) finish();
}

bool CancelForwarder::ready_to_send(FdInterest ready) {
  if (!connected_) {
    if (!ready.writable) return false;
    if (server_->take_error() != 0) {
      connect_to_next_address();
      return false;
    }
    connected_ = true;
    server_->await_writable(false);
    if (tls_) securing_.emplace(tls_, host_);
  }
  if (!securing_) return true;
  switch (securing_->go_on(*server_)) {
    case TlsOpening::Progress::kUnderWay:
      return false;
    case TlsOpening::Progress::kDone:
      securing_.reset();
      return true;
    case TlsOpening::Progress::kRefused:
    case TlsOpening::Progress::kBroken:
      break;
  }
  finish();
  return false;
}

void CancelForwarder::refuse() {
  finish();
}

void CancelForwarder::finish() {
  abandon();
  if (!started_)
    on_done_(End::kNotAllowed);
  else
    on_done_(sent_ ? End::kForwarded : End::kNotForwarded);
}

void CancelForwarder::abandon() {
  limit_.stop();
  resolving_ = {};
  if (server_) server_->reset();
  if (client_.tls) client_.tls->close_notify(client_.socket);
  client_.socket.close();
}

}  // namespace pgkeel
