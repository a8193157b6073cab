#include "proxy/http/http_door.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHandshakeLimit = 2s;
constexpr Duration kSilenceLimit = 1s;
constexpr Duration kLeaveLimit = 200ms;
constexpr Duration kLook = 10ms;     // while somebody's time may end
constexpr Duration kLookMax = 25ms;  // what counts of the time between two looks
constexpr Duration kNoDescriptorPause = 20ms;
constexpr int kAcceptedAtOnce = 64;

}  // namespace

HttpDoor::HttpDoor(int listening, std::function<std::shared_ptr<const TlsAcceptor>()> acceptor,
                   std::function<void(HttpGuest)> on_guest)
    : listening_(listening),
      places_(door_places(descriptor_limit())),
      acceptor_(std::move(acceptor)),
      on_guest_(std::move(on_guest)) {}

void HttpDoor::turn(Duration limit) {
  let_time_pass();
  dismiss_the_late();
  watched_.clear();
  watched_.push_back({.fd = has_room() ? listening_ : -1, .events = POLLIN, .revents = 0});
  for (const auto& visitor : visitors_)
    watched_.push_back({.fd = visitor.guest.socket.number(), .events = visitor.awaited, .revents = 0});
  const Duration wait = visitors_.empty() && now_ >= accepts_again_ ? limit : std::min(limit, kLook);
  if (::poll(watched_.data(), watched_.size(), static_cast<int>(to_milliseconds(wait))) <= 0) return;
  let_time_pass();
  auto next = visitors_.begin();
  for (std::size_t at = 1; at < watched_.size(); ++at) {
    const auto visitor = next++;
    if (watched_[at].revents != 0) go_on(visitor);
  }
  if (watched_[0].revents != 0) accept_some();
}

void HttpDoor::let_time_pass() {
  const Instant clock = monotonic_now();
  now_ += std::min(clock - looked_, kLookMax);
  looked_ = clock;
}

bool HttpDoor::has_room() const {
  if (now_ < accepts_again_) return false;
  return visitors_.size() < places_ || now_ - visitors_.front().since >= kPatience;
}

Duration HttpDoor::limit_of(Stage stage) {
  switch (stage) {
    case Stage::kShakesHands:
      return kHandshakeLimit;
    case Stage::kSilent:
      return kSilenceLimit;
    case Stage::kLeaves:
      break;
  }
  return kLeaveLimit;
}

void HttpDoor::dismiss_the_late() {
  std::erase_if(visitors_, [this](const Visitor& visitor) { return now_ - visitor.since >= limit_of(visitor.stage); });
}

void HttpDoor::accept_some() {
  for (int count = 0; count < kAcceptedAtOnce && has_room(); ++count) {
    // Another process may have been faster: the socket does not block.
    Descriptor socket(::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open()) {
      const bool none_left = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (none_left) accepts_again_ = now_ + kNoDescriptorPause;
      return;
    }
    if (visitors_.size() >= places_) visitors_.pop_front();
    auto& visitor = visitors_.emplace_back();
    visitor.since = now_;
    visitor.guest.acceptor = acceptor_();
    if (visitor.guest.acceptor) {
      visitor.stage = Stage::kShakesHands;
      visitor.guest.tls = std::make_unique<TlsSession>(visitor.guest.acceptor, socket.number());
    }
    visitor.guest.socket = std::move(socket);
  }
}

void HttpDoor::go_on(Place visitor) {
  if (visitor->stage == Stage::kLeaves) return see_off(visitor);
  if (visitor->stage == Stage::kShakesHands) {
    shake_hands(visitor);
    if (visitor->stage != Stage::kSilent || !visitor->guest.tls->has_bytes()) return;
  }
  HttpGuest guest = std::move(visitor->guest);
  visitors_.erase(visitor);
  on_guest_(std::move(guest));
}

void HttpDoor::shake_hands(Place visitor) {
  switch (visitor->guest.tls->handshake()) {
    case TlsSession::Need::kNothing:
      return begin_stage(visitor, Stage::kSilent);
    case TlsSession::Need::kRead:
      visitor->awaited = POLLIN;
      return;
    case TlsSession::Need::kWrite:
      visitor->awaited = POLLOUT;
      return;
    case TlsSession::Need::kEnd:
      break;
  }
  // What is not read when a socket is closed makes the kernel reset it, and the peer lose the alert that says why.
  ::shutdown(visitor->guest.socket.number(), SHUT_WR);
  begin_stage(visitor, Stage::kLeaves);
}

void HttpDoor::begin_stage(Place visitor, Stage stage) {
  visitor->stage = stage;
  visitor->awaited = POLLIN;
  visitor->since = now_;
  visitors_.splice(visitors_.end(), visitors_, visitor);
}

void HttpDoor::see_off(Place visitor) {
  std::array<char, 4096> ignored{};
  if (::recv(visitor->guest.socket.number(), ignored.data(), ignored.size(), 0) <= 0) visitors_.erase(visitor);
}

}  // namespace pgkeel
