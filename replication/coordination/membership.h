// One pgkeel among several: whether it may let a client's byte through, and until when; whether it leads; whom it must
// hear before a route may be opened; what it should ask of etcd and of the other members next. README.md has the
// protocol. Pure: no I/O, no clock, no log; the simulation plays it against an etcd of its own. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "replication/coordination/agreed_state.h"

namespace pgkeel {

struct CoordinationPolicy {
  Duration lease;

  // By how much earlier than its lease a member stops: clocks may run apart by this, and closing takes a moment.
  [[nodiscard]] Duration margin() const { return lease / 4; }
  [[nodiscard]] Duration renew_every() const { return lease / 8; }
  // A member without a lease for so long leaves the roster, so that it is not waited for when etcd is away.
  [[nodiscard]] Duration absence() const { return lease * 8; }
  // How long the one to whom the leader handed over is given to take it, before any other does.
  [[nodiscard]] Duration inheritance() const { return lease / 2; }
};

// What a member tells another about itself and its routes when it asks for a promise.
struct PromiseRequest {
  std::string from;
  std::string instance;                          // the life of its process; a promise is given to this one alone
  std::map<std::string, std::uint64_t> applied;  // per cluster; never goes back within the life of a process
};

// The answer. It holds: "for the length of the lease I take you for one that may route". In any case it tells what the
// one who answers knows.
struct Promise {
  std::string from;
  bool holds = false;
  Roster roster;  // with those that `from` may have added without knowing it yet
  std::map<std::string, SharedRoute> routes;
};

// What to ask for next. Each is given once, and again only after its answer or its failure was told.
struct CoordinationWishes {
  bool grant_lease = false;
  bool renew_lease = false;
  bool register_member = false;  // and read everything at the revision at which that was done
  bool campaign = false;
  std::string hand_over;                             // to this member: give the leadership up; empty: not
  std::optional<Roster> write_roster;                // its version is that of the one to be replaced; 0: the first
  std::map<std::string, std::uint64_t> acknowledge;  // per cluster
  std::vector<std::string> ask_promises;             // of these members
  Instant again_at = Instant::max();                 // step() again by then
};

class Membership {
 public:
  // `now`, and all times here: a clock that goes on while the machine sleeps.
  Membership(std::string name, std::string instance, CoordinationPolicy policy, Instant now);

  CoordinationWishes step(Instant now);

  // -- answers. `sent_at`: when the request left.
  void lease_granted(Instant sent_at);
  void lease_not_granted() { granting_.running = false; }
  void lease_renewed(Instant sent_at);
  void lease_not_renewed() { renewing_.running = false; }  // no answer; it may still hold
  void lease_lost();                                       // etcd says so, or the process gives it up
  // Another process has been this member, under this instance and with this lease, and lets no byte through but under
  // the routes that go on here. Before the first step().
  void go_on_with_lease(Instant renewed_at);
  void registered(AgreedState state, Instant now);
  void not_registered() { registering_.running = false; }
  void campaign_over() { campaigning_.running = false; }     // who won is told by agreed()
  void hand_over_tried() { handing_over_.running = false; }  // likewise
  // What became of it is told by agreed(); until then it may have been carried out.
  void roster_write_over() { writing_roster_.running = false; }
  void acknowledgement_over(const std::string& cluster) { acknowledging_[cluster].running = false; }
  void promise_heard(const Promise& promise, Instant asked_at);
  void promise_not_heard(const std::string& of) { asking_[of].running = false; }

  // etcd's newest, in the order of revisions; an older one is passed over.
  void agreed(AgreedState state, Instant now);

  // Every worker has taken over this route of the cluster.
  void route_applied(const std::string& cluster, std::uint64_t serial);

  // What this member sends to those whose promises it wants.
  [[nodiscard]] PromiseRequest promise_request() const { return {name_, instance_, applied_}; }
  // The answer to a member that asks; nothing: there is none to give.
  std::optional<Promise> answer(const PromiseRequest& request, Instant now);

  // Leader: gives it up for this member, from now on. It leads no more, whatever becomes of the request to etcd.
  void hand_over(const std::string& heir);
  // It is ending, and lets the others lead. Not taken back.
  void stand_back() { stands_back_ = true; }

  // -- what follows
  // No byte of a client of this cluster may be written at this time or later. In the past: it may not route.
  [[nodiscard]] Instant serve_until(const std::string& cluster) const;
  // The newest route of the cluster, as etcd or a promise told it; nothing: there is none.
  [[nodiscard]] const SharedRoute* newest_route(const std::string& cluster) const;
  [[nodiscard]] bool leads(Instant now) const;
  // Leader: nobody else can let a byte through under a route of the cluster before this one.
  [[nodiscard]] bool closed_elsewhere(const std::string& cluster, std::uint64_t serial, Instant now) const;
  // … or these still might.
  [[nodiscard]] std::set<std::string> maybe_open(const std::string& cluster, std::uint64_t serial, Instant now) const;
  // When closed_elsewhere() may change without anything being heard.
  [[nodiscard]] Instant closed_elsewhere_at() const;

  [[nodiscard]] const AgreedState& state() const { return state_; }
  // etcd answers: what this member knows of the others is of now.
  [[nodiscard]] bool is_in_touch(Instant now) const {
    return has_lease_ && now <= renewed_at_ + 2 * policy_.renew_every();
  }
  [[nodiscard]] bool holds_lease(Instant now) const { return has_lease_ && now < lease_until(); }
  // Its lease alone carries it: no promise of others, nor one to others that nobody would know of after it.
  [[nodiscard]] bool is_carried_by_lease(Instant now) const {
    return is_registered() && is_in_touch(now) && !pending_roster_;
  }
  [[nodiscard]] Instant renewed_at() const { return renewed_at_; }

  // -- for people
  // The end of the lease, by this one's cautious count; in the past: it has none.
  [[nodiscard]] Instant lease_ends() const { return has_lease_ ? lease_until() : Instant{}; }
  // When the newest answer of etcd about the lease was asked for; Instant{}: there was none yet.
  [[nodiscard]] Instant etcd_heard_at() const { return renewed_at_; }
  // Of how many members it takes a promise to route while etcd is away, and of how many it holds one now.
  struct Promises {
    std::size_t wanted = 0;
    std::size_t held = 0;
  };
  [[nodiscard]] Promises promises(Instant now) const;

 private:
  struct Attempt {
    bool running = false;
    Instant began{};
  };
  // A process that asked for a promise.
  struct Asker {
    Instant heard_at{};
    Instant promised_until{};                      // in the past: nothing is
    std::map<std::string, std::uint64_t> applied;  // as it said
  };
  // A roster whose writing may have been carried out without our knowing.
  struct PendingRoster {
    std::uint64_t term = 0;
    std::uint64_t replaces = 0;
    std::set<std::string> members;  // of any attempt
    std::set<std::string> leaving;  // left out by any
  };
  [[nodiscard]] bool begin(Attempt& attempt, Instant now) const;
  [[nodiscard]] Instant lease_until() const;
  [[nodiscard]] Instant promises_until(const std::string& cluster) const;
  [[nodiscard]] const Roster& roster() const;
  [[nodiscard]] bool is_live(const std::string& name) const { return state_.members.contains(name); }
  [[nodiscard]] bool is_registered() const;
  [[nodiscard]] bool is_leader() const;  // as etcd has it
  [[nodiscard]] bool may_campaign(Instant now) const;
  [[nodiscard]] std::set<std::string> whose_promises() const;
  [[nodiscard]] std::optional<Roster> better_roster(Instant now) const;
  [[nodiscard]] bool is_promised(const std::string& name, Instant now) const;
  [[nodiscard]] bool may_be_open(const std::string& member, const std::string& cluster, std::uint64_t serial,
                                 Instant now) const;
  void take_over(AgreedState state, Instant now);
  void look_for_own_key();

  const std::string name_;
  const std::string instance_;
  const CoordinationPolicy policy_;
  AgreedState state_;
  Roster told_roster_;  // by a promise, where it is newer than state_.roster
  bool has_lease_ = false;
  bool goes_on_ = false;  // what another process of this member began
  Instant renewed_at_{};  // when the newest answered renewal, or the grant, was sent
  std::map<std::string, std::uint64_t> serials_at_registration_;  // what must be applied to route under this lease
  bool registered_ = false;                                       // under this lease
  Instant quiet_until_;  // until then promises may be out that this member does not know of
  bool was_on_roster_ = false;
  std::map<std::string, std::uint64_t> applied_;
  std::map<std::string, SharedRoute> told_routes_;  // by promises, where they are newer than those of state_
  std::map<std::string, Instant> promises_since_;   // per member: when its newest promise that holds was asked for
  std::map<std::string, std::set<std::string>> rosters_told_;   // per member: whom it named last
  std::map<std::string, std::map<std::string, Asker>> askers_;  // by member and instance
  std::map<std::string, Instant> absent_since_;                 // on the roster, without a lease
  std::optional<PendingRoster> pending_roster_;
  Attempt granting_;
  Attempt renewing_;
  Attempt registering_;
  Attempt campaigning_;
  Attempt handing_over_;
  std::string heir_;  // to whom the term of then is handed over
  std::uint64_t term_given_up_ = 0;
  Instant heir_since_{};        // when this member saw that it is for the heir to lead
  Instant leaderless_since_{};  // … that nobody leads
  bool stands_back_ = false;
  Attempt writing_roster_;
  std::map<std::string, Attempt> acknowledging_;  // per cluster
  std::map<std::string, Attempt> asking_;         // per member
};

}  // namespace pgkeel
