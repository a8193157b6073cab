#include "proxy/io/resolver.h"

#include <cstring>
#include <map>
#include <netdb.h>
#include <utility>

#include <uv.h>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr Duration kAnswerKept = std::chrono::seconds(5);

using Key = std::pair<std::string, std::uint16_t>;

Resolver::Addresses copy_addresses(const addrinfo* list) {
  Resolver::Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

addrinfo stream_hints(int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  return hints;
}

}  // namespace

// One getaddrinfo on its way; lives until libuv calls back, however long the resolver itself lives.
struct Resolver::Lookup {
  uv_getaddrinfo_t request{};
  std::weak_ptr<Inner> resolver;
  Key key;
  std::vector<std::weak_ptr<Callback>> waiting;

  static void answered(uv_getaddrinfo_t* request, int status, addrinfo* list);
};

struct Resolver::Inner {
  struct Known {
    Addresses addresses;
    Instant until;
  };
  Loop& loop;
  std::map<Key, Known> known;
  std::map<Key, Lookup*> lookups;
};

void Resolver::Lookup::answered(uv_getaddrinfo_t* request, int status, addrinfo* list) {
  const std::unique_ptr<Lookup> self(static_cast<Lookup*>(request->data));
  Addresses addresses = copy_addresses(list);
  uv_freeaddrinfo(list);
  const auto resolver = self->resolver.lock();
  if (!resolver) return;
  resolver->lookups.erase(self->key);
  const bool found = status == 0 && !addresses.empty();
  const Result<Addresses> answer =
      found ? Result<Addresses>(addresses)
            : Result<Addresses>(Error{"could not resolve \"" + self->key.first +
                                      "\": " + (status == 0 ? "no usable address" : uv_strerror(status))});
  if (found) resolver->known[self->key] = {std::move(addresses), monotonic_now() + kAnswerKept};
  for (const auto& waiting : self->waiting) {
    if (const auto callback = waiting.lock()) (*callback)(answer);
  }
}

Resolver::Resolver(Loop& loop) : inner_(std::make_shared<Inner>(Inner{loop, {}, {}})) {}

Resolver::~Resolver() {
  for (const auto& [key, lookup] : inner_->lookups) uv_cancel(reinterpret_cast<uv_req_t*>(&lookup->request));
}

Resolver::Request Resolver::resolve(const HostPort& address, Callback callback) {
  if (const auto numeric = numeric_socket_addresses(address); !numeric.empty()) {
    callback(numeric);
    return {};
  }
  const Key key(address.host, address.port);
  if (const auto known = inner_->known.find(key); known != inner_->known.end()) {
    if (monotonic_now() < known->second.until) {
      callback(known->second.addresses);
      return {};
    }
    inner_->known.erase(known);
  }
  Request place;
  place.callback_ = std::make_shared<Callback>(std::move(callback));
  if (const auto under_way = inner_->lookups.find(key); under_way != inner_->lookups.end()) {
    under_way->second->waiting.push_back(place.callback_);
    return place;
  }
  auto lookup = std::make_unique<Lookup>();
  lookup->request.data = lookup.get();
  lookup->resolver = inner_;
  lookup->key = key;
  lookup->waiting.push_back(place.callback_);
  const addrinfo hints = stream_hints(AI_ADDRCONFIG);
  const int status = uv_getaddrinfo(inner_->loop.handle(), &lookup->request, Lookup::answered, address.host.c_str(),
                                    std::to_string(address.port).c_str(), &hints);
  if (status != 0) {
    const Result<Addresses> failed =
        Error{"could not resolve \"" + address.host + "\": " + std::string(uv_strerror(status))};
    (*place.callback_)(failed);
    return {};
  }
  inner_->lookups[key] = lookup.release();
  return place;
}

Result<Resolver::Addresses> resolve_for_binding(const HostPort& address) {
  const addrinfo hints = stream_hints(AI_PASSIVE);
  addrinfo* list = nullptr;
  const int status = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(),
                                 std::to_string(address.port).c_str(), &hints, &list);
  if (status != 0) return Error{"could not resolve \"" + address.host + "\": " + std::string(gai_strerror(status))};
  Resolver::Addresses addresses = copy_addresses(list);
  freeaddrinfo(list);
  if (addresses.empty()) return Error{"\"" + address.host + "\" has no usable address"};
  return addresses;
}

}  // namespace pgkeel
