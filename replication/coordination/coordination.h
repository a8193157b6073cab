// What a pgkeel that serves a cluster needs of its agreement with the others. Coordinator does it with etcd; tests put
// something in its place. Control thread only; callbacks come later.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "proxy/base/result.h"
#include "replication/coordination/membership.h"

namespace pgkeel {

class Coordination {
 public:
  using Written = std::function<void(Result<void> result)>;

  virtual ~Coordination() = default;

  // All times of a Membership: on CLOCK_BOOTTIME.
  [[nodiscard]] static Instant now();
  [[nodiscard]] virtual const Membership& membership() const = 0;
  [[nodiscard]] virtual const std::string& name() const = 0;  // of this member
  // What stands in the way, for a person; empty: nothing.
  [[nodiscard]] virtual std::string problem() const = 0;

  virtual void route_applied(const std::string& cluster, std::uint64_t serial) = 0;
  // No session here is in a transaction under this route, which drains. Told to the leader, who does without where that
  // fails: draining has a limit.
  virtual void route_drained(const std::string& cluster, std::uint64_t serial) = 0;
  // Leader: all other members have said so.
  [[nodiscard]] virtual bool drained_elsewhere(const std::string& cluster, std::uint64_t serial) const = 0;

  // Leader: durable when `written` says so. An error: it may have been written or not, and the newest state tells.
  virtual void write_memory(const std::string& cluster, const std::string& text, Written written) = 0;
  // Its serial is given here: the next one.
  virtual void write_route(const std::string& cluster, SharedRoute route, Written written) = 0;

  // Leader: gives the leadership up for this member, and writes nothing more. The lease and the routes stay.
  virtual void hand_over(const std::string& heir) = 0;
  // This member is ending: from now on it leads but where none of the others does, or one hands over to it.
  virtual void stand_back() = 0;
};

}  // namespace pgkeel
