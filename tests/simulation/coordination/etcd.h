// An etcd of the simulation: keys with leases, transactions at one moment, watchers that hear of each revision in order
// and late. Its clock runs at its own rate. It can be away, and any member can be cut off from it. Tests only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "replication/coordination/agreed_state.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/random.h"

namespace pgkeel::simulation {

class Etcd {
 public:
  using LeaseId = std::uint64_t;

  Etcd(EventQueue& queue, Random& random, Duration lease) : queue_(queue), random_(random), lease_(lease) {}

  // All of these happen at the moment of the call.
  LeaseId grant();
  bool renew(LeaseId lease);
  void revoke(LeaseId lease);
  // Puts the member's key, also over one of an earlier life.
  std::optional<AgreedState> register_member(LeaseId lease, const std::string& name, const std::string& instance);
  bool acknowledge(LeaseId lease, const std::string& name, const std::string& cluster, std::uint64_t serial);
  // A lease of the member, nobody leads, and the roster with the member on it is of this version.
  bool campaign(LeaseId lease, const std::string& name, const std::string& instance, std::uint64_t roster_version);
  // The leader of this term gives it up for the heir.
  bool hand_over(std::uint64_t term, const std::string& heir);
  // `term` 0: there is no roster yet, and nobody needs to lead.
  bool write_roster(std::uint64_t term, const Roster& roster);
  bool write_route(std::uint64_t term, const std::string& cluster, const SharedRoute& route);

  void expire_leases();  // to be called now and then
  void set_clock_rate(double rate) { clock_rate_ = rate; }
  void extend_leases();  // as a new leader of etcd does

  [[nodiscard]] const AgreedState& state() const { return state_; }
  std::function<void()> on_change;  // after each revision

 private:
  struct Lease {
    std::string member;  // whose key it holds; empty: none yet
    Instant until;
  };
  [[nodiscard]] Duration full_term() const;
  void changed();
  void drop(LeaseId lease);

  EventQueue& queue_;
  Random& random_;
  const Duration lease_;
  double clock_rate_ = 1.0;
  std::uint64_t newest_lease_ = 0;
  std::map<LeaseId, Lease> leases_;
  std::map<std::string, LeaseId> lease_of_member_;
  LeaseId lease_of_leader_ = 0;
  AgreedState state_;
};

}  // namespace pgkeel::simulation
