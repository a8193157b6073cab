// Whoever begins to connect to the virtual IP while it leaves this host is heard by nobody, and would ask again only a
// second later. This keeps what they asked (their TCP SYN), and passes it on over the link as soon as the next holder
// announces itself: that one answers them, directly. A network that does not let this host speak for others drops it,
// and they ask again. Takes CAP_NET_RAW. Loop's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/ip_address.h"
#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/timer.h"
#include "proxy/vip/announcement.h"

namespace pgkeel {

class CallerKeeper {
 public:
  CallerKeeper(Loop& loop, const IpAddress& address, bool is_ipv4);

  // From now on, for a few seconds: the address leaves this interface. An error is an errno value: nobody is kept.
  int begin(unsigned interface);
  void end();  // nobody any more: it is here again

  // The next holder may announce itself any moment, and somebody may be waiting for that.
  [[nodiscard]] bool is_waiting() const;

 private:
  struct Ear {
    Descriptor socket;
    std::unique_ptr<FdWatch> watch;
  };
  int listen(unsigned interface, std::uint16_t protocol);
  void hear(int socket);
  void next_holder_is_heard();
  void pass_on(const std::vector<std::uint8_t>& packet);

  Loop& loop_;
  const IpAddress address_;
  const bool is_ipv4_;
  unsigned interface_ = 0;
  std::vector<Ear> ears_;
  std::vector<std::vector<std::uint8_t>> kept_;
  std::optional<LinkAddress> next_holder_;
  Instant waits_until_{};
  bool is_passed_on_again_ = false;
  Timer limit_;
  Timer again_;
};

}  // namespace pgkeel
