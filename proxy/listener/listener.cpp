#include "proxy/listener/listener.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/patient_bind.h"
#include "proxy/io/resolver.h"

namespace pgkeel {
namespace {

constexpr int kAcceptsAtOnce = 64;  // then the sessions have their turn
constexpr Duration kPause = std::chrono::milliseconds(100);
constexpr Duration kPauseForNewcomers = std::chrono::milliseconds(10);
constexpr Duration kHandshakesEndIn = std::chrono::milliseconds(5);  // nothing tells; on one host it takes microseconds
constexpr Duration kTellAgain = std::chrono::minutes(1);

std::optional<Socket> take_bound_to(const SocketAddress& address, std::vector<NamedSocket>& inherited) {
  const auto found =
      std::ranges::find_if(inherited, [&](const NamedSocket& each) { return each.socket.is_bound_to(address); });
  if (found == inherited.end()) return std::nullopt;
  Socket socket = std::move(found->socket);
  inherited.erase(found);
  return socket;
}

bool has_port(std::uint16_t port, const std::vector<NamedSocket>& inherited) {
  return std::ranges::any_of(inherited, [&](const NamedSocket& each) { return each.socket.bound_port() == port; });
}

std::vector<Socket> take_named(const std::string& name, std::vector<NamedSocket>& inherited) {
  std::vector<Socket> sockets;
  for (auto& each : inherited) {
    if (each.name == name && each.socket.bound_port() != 0) sockets.push_back(std::move(each.socket));
  }
  std::erase_if(inherited, [](const NamedSocket& each) { return !each.socket.is_open(); });
  return sockets;
}

}  // namespace

Result<std::vector<Socket>> Listener::bind_all(const HostPort& listen, const std::string& name,
                                               std::vector<NamedSocket>& inherited, Duration patience) {
  if (listen.port == 0) {
    if (auto sockets = take_named(name, inherited); !sockets.empty()) return sockets;
  }
  auto addresses = resolve_for_binding(listen);
  if (!addresses) return Error{"could not listen on " + format_host_port(listen) + ": " + addresses.error().message};
  std::vector<Socket> sockets;
  int error = 0;
  for (const auto& address : *addresses) {
    const std::uint16_t port = sockets.empty() ? listen.port : sockets.front().bound_port();
    if (auto socket = take_bound_to(address.with_port(port), inherited)) {
      sockets.push_back(std::move(*socket));
      continue;
    }
    // "::" takes IPv4 clients too, unless they have a socket of their own.
    const auto share = addresses->size() > 1 ? Socket::FamilyShare::kOwnFamilyOnly : Socket::FamilyShare::kBoth;
    const bool is_shared = has_port(port, inherited);
    auto socket = bind_once_free(address.with_port(port), share, is_shared ? Duration::zero() : patience);
    // An address that moves between hosts (a virtual IP) may be elsewhere now.
    if (!socket && socket.error().code == EADDRNOTAVAIL && parse_ip_address(listen.host)) {
      socket = bind_once_free(address.with_port(port), share, patience, Socket::HostAddress::kSomeTime);
      if (socket)
        log(LogLevel::kWarning, "listener",
            "this host does not have the address " + listen.host + " now: clients reach it here once it does");
    }
    if (!socket && socket.error().code == EADDRINUSE && is_shared)
      socket = Socket::bind_to(address.with_port(port), share, Socket::HostAddress::kNow, Socket::PortUse::kShared);
    // A socket whose port the kernel chose would get another one when it listens for the second time.
    if (socket && port == 0) {
      const auto chosen = address.with_port(socket->bound_port());
      socket->close();
      socket = Socket::bind_to(chosen, share);
    }
    if (socket) {
      sockets.push_back(std::move(*socket));
      continue;
    }
    error = socket.error().code;
    // A name may stand for an address of a family that this machine does not have.
    if (error == EAFNOSUPPORT || error == EADDRNOTAVAIL) continue;
    sockets.clear();
    break;
  }
  if (sockets.empty()) {
    return Error{"could not listen on " + format_host_port(listen) + ": " + describe_system_error(error)};
  }
  return sockets;
}

Listener::Listener(Loop& loop, std::vector<Socket> bound, Room room, OnClient on_client)
    : loop_(loop),
      sockets_(std::move(bound)),
      room_(std::move(room)),
      on_client_(std::move(on_client)),
      pause_(loop, [this] {
        if (!open_) return;
        if (watches_.empty())
          listen_on_all();
        else
          watch_all();
      }) {}

void Listener::open() {
  if (std::exchange(open_, true)) return;
  listen_on_all();
}

// Also where it was not open: an inherited socket may listen.
void Listener::close() {
  close_but({});
}

void Listener::close_but(const std::vector<int>& handed_on) {
  open_ = false;
  pause_.stop();
  watches_.clear();
  for (auto& socket : sockets_) {
    if (std::ranges::find(handed_on, socket.descriptor()) == handed_on.end()) socket.stop_listening();
  }
}

void Listener::take_in() {
  for (auto& socket : sockets_) {
    while (accept_from(socket)) {
    }
  }
}

void Listener::take_in_and_close(const std::vector<int>& handed_on) {
  if (!open_) return;
  // Whoever begins to connect from now on finds the next socket when the kernel asks again. Those who have begun come
  // in first; the kernel would reset them.
  for (auto& socket : sockets_) {
    if (std::ranges::find(handed_on, socket.descriptor()) != handed_on.end()) continue;
    socket.hear_no_newcomers();
    const Instant end = monotonic_now() + kHandshakesEndIn;
    while (socket.wait_for_connection(end - monotonic_now())) accept_from(socket);
  }
  take_in();
  close_but(handed_on);
}

void Listener::close_door(AtTheDoor newcomers) {
  switch (newcomers) {
    case AtTheDoor::kRefused:
      if (!open_) return;
      take_in();
      return close();
    case AtTheDoor::kWaits:
      return pause();
    case AtTheDoor::kUnanswered:
      if (!open_) return;
      for (auto& socket : sockets_) socket.turn_deaf();
      take_in();
      return pause();
  }
}

void Listener::turn_deaf_to(const std::optional<IpAddress>& address) {
  deaf_to_ = address;
  if (!open_) return;
  for (auto& socket : sockets_) {
    if (address)
      socket.turn_deaf_to(*address);
    else
      socket.hear_everybody();
  }
}

Result<void, SystemError> Listener::listen_at(Socket& socket) {
  auto listening = socket.start_listening();
  if (listening && deaf_to_) socket.turn_deaf_to(*deaf_to_);
  return listening;
}

void Listener::listen_on_all() {
  for (auto& socket : sockets_) {
    const auto listening = listen_at(socket);
    if (listening) continue;
    log(LogLevel::kError, "listener",
        "could not listen on port " + std::to_string(socket.bound_port()) + ": " +
            describe_system_error(listening.error().code));
    pause_.start_once(kPause);
    return;
  }
  for (auto& socket : sockets_) {
    watches_.push_back(
        std::make_unique<FdWatch>(loop_, socket.descriptor(), [this, &socket](FdInterest) { accept_from(socket); }));
  }
  watch_all();
}

void Listener::pause() {
  paused_ = true;
  pause_.stop();
  for (const auto& watch : watches_) watch->set_interest({});
}

void Listener::go_on() {
  if (!std::exchange(paused_, false) || !open_) return;
  if (watches_.empty()) return listen_on_all();
  // They may be deaf, also by what another process that has them too did.
  for (auto& socket : sockets_) static_cast<void>(listen_at(socket));
  watch_all();
}

void Listener::watch_all() {
  if (paused_) return;
  for (const auto& watch : watches_) watch->set_interest({.readable = true});
}

bool Listener::accept_from(Socket& socket) {
  for (int accepted = 0; accepted < kAcceptsAtOnce; ++accepted) {
    DescriptorShare place = room_.newcomers.take();
    if (place.held() == 0) {
      room_.make_room();
      let_them_wait("too many have connected and said nothing; silent ones are dropped early", kPauseForNewcomers);
      return false;
    }
    DescriptorShare descriptors = room_.descriptors.take();
    if (descriptors.held() == 0) {
      let_them_wait("the descriptors that clients may have are all in use", kPause);
      return false;
    }
    auto client = socket.accept_one();
    if (client) {
      on_client_({std::move(place), std::move(descriptors), std::move(client->first), client->second.ip()});
      continue;
    }
    switch (client.error().code) {
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        let_them_wait(describe_system_error(client.error().code), kPause);
        return false;
      case ECONNABORTED:
      case EPROTO:
      case EINTR:
        continue;  // that one is gone; there may be others
      default:
        return false;
    }
  }
  return true;
}

// They stay in the kernel's queue; without a pause this would spin until a descriptor is free.
void Listener::let_them_wait(const std::string& why, Duration pause) {
  const Instant now = loop_.now();
  if (told_at_ == Instant{} || now - told_at_ >= kTellAgain) {
    told_at_ = now;
    log(LogLevel::kError, "listener", "clients have to wait, none is accepted now: " + why);
  }
  for (const auto& watch : watches_) watch->set_interest({});
  pause_.start_once(pause);
}

}  // namespace pgkeel
