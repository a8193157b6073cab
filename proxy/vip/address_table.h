// The addresses of this host's network interfaces, as the kernel has them (rtnetlink), and changes of them. To change
// them takes CAP_NET_ADMIN. Each call asks the kernel and waits for its answer, which it gives at once. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/values.h"
#include "proxy/base/result.h"
#include "proxy/io/socket.h"

struct mnl_socket;
struct nlmsghdr;

namespace pgkeel {

class FdWatch;
class Loop;

struct HeldAddress {
  unsigned interface = 0;  // its index
  InterfaceAddress address;
  bool has_end = false;  // the kernel removes it by itself some time

  friend bool operator==(const HeldAddress&, const HeldAddress&) = default;
};

// Whether the kernel makes a route to the address's network along with it.
enum class NetworkRoute { kNone, kMade };

struct CloseNetlink {
  void operator()(mnl_socket* socket) const;
};
using NetlinkSocket = std::unique_ptr<mnl_socket, CloseNetlink>;

class AddressTable {
 public:
  static Result<AddressTable> open();

  Result<std::vector<HeldAddress>, SystemError> list();

  // Adds it, or prolongs it. It is no address that this host would choose as the source of a connection, and nobody is
  // asked whether it is used already.
  Result<void, SystemError> set(unsigned interface, const InterfaceAddress& address, std::uint32_t lifetime_seconds,
                                NetworkRoute route);
  // EADDRNOTAVAIL: it is not there.
  Result<void, SystemError> remove(unsigned interface, const InterfaceAddress& address);

 private:
  explicit AddressTable(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Result<void, SystemError> exchange(nlmsghdr* request, std::vector<HeldAddress>* listed);

  NetlinkSocket socket_;
  std::uint32_t sequence_ = 0;
};

// Tells what happens to addresses and interfaces of this host, whoever does it. Loop's thread only.
struct AddressNews {
  enum class Kind { kAddressGone, kLinkUp, kLinkDown, kSomeLost };
  Kind kind = Kind::kSomeLost;  // kSomeLost: more happened than the kernel kept for us
  HeldAddress gone;             // kAddressGone
  unsigned interface = 0;       // kLinkUp, kLinkDown
};

class AddressWatch {
 public:
  static Result<std::unique_ptr<AddressWatch>> open(Loop& loop, std::function<void(const AddressNews&)> on_news);
  ~AddressWatch();
  AddressWatch(const AddressWatch&) = delete;
  AddressWatch& operator=(const AddressWatch&) = delete;

 private:
  struct Inner;
  explicit AddressWatch(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
