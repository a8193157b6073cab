// Lets logins through at a rate after a failover, so that five thousand clients that come back at once do not bring the
// new primary down. A server that cannot do that many a second gets only as many at a time as it can answer before they
// give up and come again; else it would go on serving those who are gone. First come, first served over all workers of
// a cluster. Any thread; only logins touch it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>

#include "proxy/base/time.h"

namespace pgkeel {

class LoginGate {
 public:
  // A place in the queue; the lower one came earlier.
  using Ticket = std::uint64_t;

  explicit LoginGate(std::uint32_t logins_per_second);  // 0: no limit

  Ticket enter();             // begins to wait
  void enter(Ticket ticket);  // begins to wait again, at the old place
  void leave(Ticket ticket);  // waits no more

  // From now on; 0: no limit.
  void set_rate(std::uint32_t logins_per_second);

  // True: it was the ticket's turn, it waits no more, and its login is under way until settle() or enter().
  bool try_pass(Ticket ticket, Instant now);
  void settle(Ticket ticket);  // the server has answered its login, or that is over

  // From now on logins pass at the rate, until all who wait are through and the rush behind them is over. It ends also
  // where more come than the rate, as they did before: those who came during the rush pass at the rate, then those who
  // have queued up behind them as fast as the server answers, until nobody waits or the queue becomes no shorter.
  void limit_from(Instant now);

 private:
  enum class Limit { kNone, kRate, kUnderWay };

  void ease(Instant now);
  void refill(Instant now);

  std::mutex mutex_;  // guards all below
  double rate_ = 0;   // tokens a second
  double burst_ = 0;  // the most that may pass at once
  std::size_t under_way_max_ = 0;
  std::set<Ticket> waiting_;
  std::set<Ticket> under_way_;
  Ticket next_ticket_ = 1;
  Limit limit_ = Limit::kNone;
  Ticket eased_for_ = 0;    // when nobody with a lower one waits, the limit is eased; 0: the rush is not over
  std::size_t queued_ = 0;  // when it was eased last
  double tokens_ = 0;
  Instant filled_at_{};
  Instant limited_since_{};
};

}  // namespace pgkeel
