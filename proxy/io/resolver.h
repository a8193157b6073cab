// Host names to socket addresses for many connections: an answer is kept for some seconds, so that a thousand logins in
// a row are one look-up. Loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/name_lookup.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class Loop;

class Resolver {
 public:
  using Addresses = std::vector<SocketAddress>;  // at least one
  using Callback = std::function<void(const Result<Addresses>&)>;

  explicit Resolver(Loop& loop) : loop_(loop) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Holds a place among those who wait; given up, the callback does not come.
  class Request {
   public:
    Request() = default;

   private:
    friend class Resolver;
    std::shared_ptr<Callback> callback_;
  };

  // Numeric addresses and known names are answered before this returns.
  [[nodiscard]] Request resolve(const HostPort& address, Callback callback);

 private:
  struct Known {
    std::vector<std::string> numeric;
    Instant until;
  };
  struct Pending {
    std::unique_ptr<NameLookup> lookup;
    std::vector<std::pair<std::weak_ptr<Callback>, std::uint16_t>> waiting;  // with the port each asked for
  };

  void answered(const std::string& host, const Result<std::vector<std::string>>& numeric);

  Loop& loop_;
  std::map<std::string, Known> known_;
  std::map<std::string, Pending> pending_;
};

// Blocks; only for binding at start. An empty host is every address of this machine.
Result<Resolver::Addresses> resolve_for_binding(const HostPort& address);

}  // namespace pgkeel
