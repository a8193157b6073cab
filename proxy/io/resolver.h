// Turns host names into addresses without blocking the loop. Loop's thread only. An answer is kept for some seconds, so
// that a thousand logins in a row are one look-up.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class Loop;

class Resolver {
 public:
  using Addresses = std::vector<SocketAddress>;  // at least one
  using Callback = std::function<void(const Result<Addresses>&)>;

  explicit Resolver(Loop& loop);
  ~Resolver();  // callbacks that are still out never come
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
  struct Lookup;
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

// Blocks; only for binding at start. An empty host is every address of this machine.
Result<Resolver::Addresses> resolve_for_binding(const HostPort& address);

}  // namespace pgkeel
