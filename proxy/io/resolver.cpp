#include "proxy/io/resolver.h"

#include <cstring>
#include <netdb.h>

#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr Duration kAnswerKept = std::chrono::seconds(5);

Result<Resolver::Addresses> with_port(const std::vector<std::string>& numeric, std::uint16_t port) {
  Resolver::Addresses addresses;
  for (const auto& host : numeric) {
    for (const auto& address : numeric_socket_addresses({host, port})) addresses.push_back(address);
  }
  if (addresses.empty()) return Error{"no usable address"};
  return addresses;
}

}  // namespace

Resolver::Request Resolver::resolve(const HostPort& address, Callback callback) {
  if (const auto numeric = with_port({address.host}, address.port)) {
    callback(numeric);
    return {};
  }
  if (const auto known = known_.find(address.host); known != known_.end()) {
    if (loop_.now() < known->second.until) {
      callback(with_port(known->second.numeric, address.port));
      return {};
    }
    known_.erase(known);
  }
  Request place;
  place.callback_ = std::make_shared<Callback>(std::move(callback));
  Pending& pending = pending_[address.host];
  pending.waiting.emplace_back(place.callback_, address.port);
  if (!pending.lookup) {
    pending.lookup = std::make_unique<NameLookup>(
        loop_, address.host,
        [this, host = address.host](const Result<std::vector<std::string>>& numeric) { answered(host, numeric); });
  }
  return place;
}

void Resolver::answered(const std::string& host, const Result<std::vector<std::string>>& numeric) {
  const auto pending = pending_.extract(host);
  if (numeric) known_[pending.key()] = {*numeric, loop_.now() + kAnswerKept};
  for (const auto& [waiting, port] : pending.mapped().waiting) {
    const auto callback = waiting.lock();
    if (!callback) continue;
    (*callback)(numeric ? with_port(*numeric, port) : Result<Addresses>(numeric.error()));
  }
}

Result<Resolver::Addresses> resolve_for_binding(const HostPort& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int status = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(),
                                 std::to_string(address.port).c_str(), &hints, &list);
  if (status != 0) return Error{std::string(gai_strerror(status))};
  Resolver::Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    SocketAddress socket_address;
    if (entry->ai_addrlen > sizeof socket_address.storage) continue;
    std::memcpy(&socket_address.storage, entry->ai_addr, entry->ai_addrlen);
    socket_address.size = entry->ai_addrlen;
    addresses.push_back(socket_address);
  }
  freeaddrinfo(list);
  if (addresses.empty()) return Error{"no usable address"};
  return addresses;
}

}  // namespace pgkeel
