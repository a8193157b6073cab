// A pgkeel process that this one took over from, as long as it lives: sessions that could not come along end there, and
// it obeys this process, so that no byte of theirs reaches a server that is not the route's. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <sys/types.h>

#include "proxy/base/ip_address.h"
#include "proxy/handover/handover_message.h"
#include "proxy/io/descriptor_link.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;

// What names such a process, and can be passed on.
struct FormerHandle {
  pid_t pid = 0;
  Descriptor link;
  Descriptor process;                                  // a pidfd
  std::map<std::string, std::uint64_t> draining = {};  // as far as it has said so
};

class FormerProcess {
 public:
  struct Callbacks {
    std::function<void(const std::string& cluster, MovedSession)> session;  // follows now
    std::function<void(const std::string& cluster, const CancelKey&, const CancelRegistry::Owner&)> stays;
    std::function<void()> is_main;  // it has told the service manager who we are
    // It has ended, as the kernel says. `reason`: why it had to be ended; empty: by itself. The object may be
    // destroyed.
    std::function<void(const std::string& reason)> gone;
  };
  FormerProcess(Loop& loop, FormerHandle handle, Callbacks callbacks);
  FormerProcess(const FormerProcess&) = delete;
  FormerProcess& operator=(const FormerProcess&) = delete;

  void say_serving();

  // As WorkerPool's, for the sessions there. Where it does not answer in time it is killed: the callbacks come when its
  // sessions are closed, or its process is gone, and never before; not from inside this call.
  void publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                     std::function<void()> drained);

  // Clients' bytes may be written to servers there until then, as here.
  void set_write_deadline(const std::string& cluster, Instant until);

  // This address leaves the host: sessions there whose clients connected to it end, as here.
  void end_clients_of(const IpAddress& address);

  // Every session there ends, and that process behind them. `ended`, as `applied` above: no byte of a client reaches a
  // server from there any more.
  void end_sessions(const std::string& why, std::function<void()> ended);

  // No order is without its answer.
  [[nodiscard]] bool is_quiet() const { return orders_.empty() && link_.all_sent(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Connections that are left there.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& draining() const { return draining_; }

  // Another process takes over in turn, and this one too: what it says waits for who reads next.
  void stop_reading() { link_.stop_reading(); }
  void read_again() { link_.read_again(); }
  [[nodiscard]] LinkMessage introduction() const;  // kFormer; its descriptors stay ours

 private:
  struct Order {
    std::function<void()> applied;  // nothing: it was
    std::function<void()> drained;  // nothing: it was, or none is due
    std::string endpoint;           // of a route
  };
  void give(HandoverMessage message, Order order);
  void heard(LinkMessage message);
  void answered(const HandoverMessage& message);
  void end_it(std::string reason);
  void ended();

  Loop& loop_;
  const pid_t pid_;
  Descriptor process_;
  Callbacks callbacks_;
  std::map<std::uint64_t, Order> orders_;  // by number
  std::uint64_t orders_given_ = 0;
  std::map<std::string, std::uint64_t> draining_;
  std::map<std::string, Instant> deadlines_;  // as they were told
  std::string reason_;
  bool has_ended_ = false;
  DescriptorLink link_;
  FdWatch death_;
  Timer patience_;
};

}  // namespace pgkeel
