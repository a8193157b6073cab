#include "tests/simulation/coordination/party.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kLease = 4s;
constexpr Duration kFaultsEndAfter = 120s;
constexpr Duration kHealthyAgainWithin = 60s;
const std::string kCluster = "orders";

class Party {
 public:
  Party(std::uint64_t seed, std::size_t members, CoordinationMutant mutant, PartyFaults faults)
      : random_(seed), mutant_(mutant), faults_(faults), etcd_(queue_, random_, kLease) {
    etcd_.set_clock_rate(random_rate());
    etcd_.on_change = [this] {
      look_at_leader();
      tell_watchers();
    };
    for (std::size_t i = 0; i < members; ++i) {
      auto pgkeel = std::make_unique<Pgkeel>();
      pgkeel->name = std::string(1, static_cast<char>('a' + i));
      pgkeel->clock_rate = random_rate();
      pgkeel->clock_offset = random_.between(1h, 100h);
      pgkeels_.push_back(std::move(pgkeel));
    }
  }

  PartyOutcome play() {
    for (auto& pgkeel : pgkeels_) {
      queue_.after(random_.between(0s, 5s), [this, &pgkeel = *pgkeel] { start(pgkeel); });
    }
    plan_faults();
    const Instant began = queue_.now();
    const Instant faults_end = began + kFaultsEndAfter;
    run(faults_end);
    heal();
    run(faults_end + kHealthyAgainWithin);
    if (outcome_.violation.empty()) check_health();
    return outcome_;
  }

 private:
  struct Pgkeel {
    std::string name;
    double clock_rate = 1.0;
    Duration clock_offset{};
    std::unique_ptr<Membership> membership;  // nothing: it does not run
    std::uint64_t life = 0;
    Etcd::LeaseId lease = 0;
    std::uint64_t watched_revision = 0;
    SharedRoute workers;  // what they have taken over
    bool applying = false;
    bool moving = false;  // a write of the leader is under way
    bool wants_to_move = false;
    Instant frozen_until{};
    bool cut_from_etcd = false;  // its requests get lost
    bool hears_etcd = true;      // what was on its way to it arrives
    bool has_heard_anything = false;
    bool ordering = false;
    bool ending = false;
    std::uint64_t cleared_in = 0;          // the term in which it has ended the sessions of others at the server
    std::map<std::string, bool> cut_from;  // other pgkeels
    std::vector<std::function<void()>> when_thawed;
  };

  double random_rate() { return 0.95 + random_.fraction() * 0.1; }

  [[nodiscard]] Instant local(const Pgkeel& pgkeel) const {
    const auto elapsed = static_cast<double>(queue_.now().time_since_epoch().count()) * pgkeel.clock_rate;
    return Instant{Duration(static_cast<Duration::rep>(elapsed))} + pgkeel.clock_offset;
  }

  void run(Instant until) {
    while (outcome_.violation.empty() && queue_.run_next(until)) {
      ++outcome_.events;
      etcd_.expire_leases();
      check_routes();
    }
  }

  // Work of a process: later, where it is frozen; never, where that life is over.
  void in_life(Pgkeel& pgkeel, std::uint64_t life, std::function<void()> work) {
    if (pgkeel.life != life || pgkeel.membership == nullptr) return;
    if (queue_.now() < pgkeel.frozen_until) {
      pgkeel.when_thawed.push_back([this, &pgkeel, life, work = std::move(work)] { in_life(pgkeel, life, work); });
      return;
    }
    work();
    if (pgkeel.life == life && pgkeel.membership != nullptr) step(pgkeel);
  }

  Duration delay() {
    const bool is_slow = !healed_ && random_.chance(0.05);
    return is_slow ? random_.between(1ms, 3s) : random_.between(100us, 20ms);
  }

  void start(Pgkeel& pgkeel) {
    if (pgkeel.membership != nullptr) return;
    const std::uint64_t life = ++pgkeel.life;
    const Instant started =
        mutant_ == CoordinationMutant::kKnowsNothingOfEarlierLife ? local(pgkeel) - kLease : local(pgkeel);
    pgkeel.membership = std::make_unique<Membership>(pgkeel.name, pgkeel.name + std::to_string(life),
                                                     CoordinationPolicy{kLease}, started);
    pgkeel.lease = 0;
    pgkeel.watched_revision = 0;
    pgkeel.workers = {};
    pgkeel.applying = pgkeel.moving = pgkeel.wants_to_move = pgkeel.has_heard_anything = false;
    pgkeel.ordering = pgkeel.ending = false;
    pgkeel.cleared_in = 0;
    tick(pgkeel, life);
  }

  void kill(Pgkeel& pgkeel) {
    pgkeel.membership.reset();
    pgkeel.when_thawed.clear();
    pgkeel.frozen_until = {};
    std::erase_if(sessions_, [&](const auto& session) { return session.name == pgkeel.name; });
  }

  void tick(Pgkeel& pgkeel, std::uint64_t life) {
    if (pgkeel.life != life || pgkeel.membership == nullptr) return;
    in_life(pgkeel, life, [] {});
    queue_.after(100ms, [this, &pgkeel, life] { tick(pgkeel, life); });
  }

  // A request to etcd and back: `work` is done there (its answer is an empty function where it failed), `lost` is
  // called where nobody answers.
  void ask_etcd(Pgkeel& pgkeel, std::function<std::function<void()>()> work, std::function<void()> lost) {
    const std::uint64_t life = pgkeel.life;
    const auto give_up = [this, &pgkeel, life, lost] {
      queue_.after(1s, [this, &pgkeel, life, lost] { in_life(pgkeel, life, lost); });
    };
    if (pgkeel.cut_from_etcd) return give_up();
    queue_.after(delay(), [this, &pgkeel, life, work, give_up] {
      if (etcd_away_ || pgkeel.cut_from_etcd) return give_up();
      auto answer = work();
      if (!healed_ && random_.chance(0.01)) return give_up();
      queue_.after(delay(), [this, &pgkeel, life, answer, give_up] {
        if (!pgkeel.hears_etcd) return give_up();
        in_life(pgkeel, life, answer);
      });
    });
  }

  void tell_watchers() {
    for (auto& pgkeel : pgkeels_) {
      if (pgkeel->membership == nullptr || pgkeel->watched_revision == 0) continue;
      watch(*pgkeel, pgkeel->life);
    }
  }

  // The newest state, late; where it cannot be told, again later.
  void watch(Pgkeel& pgkeel, std::uint64_t life) {
    queue_.after(delay(), [this, &pgkeel, life, state = etcd_.state()] {
      if (pgkeel.cut_from_etcd || etcd_away_) {
        queue_.after(500ms, [this, &pgkeel, life] {
          if (pgkeel.life == life && pgkeel.membership != nullptr) watch(pgkeel, life);
        });
        return;
      }
      in_life(pgkeel, life, [this, &pgkeel, state] { pgkeel.membership->agreed(state, when_heard(pgkeel)); });
    });
  }

  void step(Pgkeel& pgkeel) {
    Membership& membership = *pgkeel.membership;
    const CoordinationWishes wishes = membership.step(local(pgkeel));
    const Instant sent_at = local(pgkeel);
    if (wishes.grant_lease) {
      ask_etcd(
          pgkeel,
          [this, &pgkeel, sent_at]() -> std::function<void()> {
            const auto lease = etcd_.grant();
            return [this, &pgkeel, lease, sent_at] {
              pgkeel.lease = lease;
              pgkeel.membership->lease_granted(counted_from(pgkeel, sent_at));
            };
          },
          [&pgkeel] { pgkeel.membership->lease_not_granted(); });
    }
    if (wishes.renew_lease) renew(pgkeel, sent_at);
    if (wishes.register_member) {
      ask_etcd(
          pgkeel,
          [this, &pgkeel, lease = pgkeel.lease, instance = instance_of(pgkeel)]() -> std::function<void()> {
            auto state = etcd_.register_member(lease, pgkeel.name, instance);
            if (!state) return [&pgkeel] { pgkeel.membership->not_registered(); };
            return [this, &pgkeel, state = std::move(*state), lease] {
              if (lease != pgkeel.lease) return pgkeel.membership->not_registered();
              pgkeel.watched_revision = state.revision;
              pgkeel.membership->registered(state, when_heard(pgkeel));
              watch(pgkeel, pgkeel.life);
            };
          },
          [&pgkeel] { pgkeel.membership->not_registered(); });
    }
    if (wishes.campaign) {
      check_campaign(pgkeel);
      campaign(pgkeel);
    }
    if (wishes.write_roster) {
      ask_etcd(
          pgkeel,
          [this, &pgkeel, term = membership.state().term, roster = *wishes.write_roster]() -> std::function<void()> {
            etcd_.write_roster(term, roster);
            return [&pgkeel] { pgkeel.membership->roster_write_over(); };
          },
          [&pgkeel] { pgkeel.membership->roster_write_over(); });
    }
    for (const auto& [cluster, serial] : wishes.acknowledge) {
      ask_etcd(
          pgkeel,
          [this, &pgkeel, lease = pgkeel.lease, cluster, serial]() -> std::function<void()> {
            etcd_.acknowledge(lease, pgkeel.name, cluster, serial);
            return [&pgkeel, cluster] { pgkeel.membership->acknowledgement_over(cluster); };
          },
          [&pgkeel, cluster] { pgkeel.membership->acknowledgement_over(cluster); });
    }
    if (!wishes.hand_over.empty()) give_up(pgkeel, wishes.hand_over);
    for (const auto& name : wishes.ask_promises) ask_promise(pgkeel, name, sent_at);
    apply_route(pgkeel);
    lead(pgkeel);
    if (random_.chance(0.3)) order(pgkeel);
  }

  [[nodiscard]] static std::string instance_of(const Pgkeel& pgkeel) {
    return pgkeel.name + std::to_string(pgkeel.life);
  }

  [[nodiscard]] Instant counted_from(const Pgkeel& pgkeel, Instant sent_at) const {
    return mutant_ == CoordinationMutant::kCountsFromTheAnswer ? local(pgkeel) : sent_at;
  }

  [[nodiscard]] Instant when_heard(Pgkeel& pgkeel) const {
    const bool is_first = !std::exchange(pgkeel.has_heard_anything, true);
    const bool is_early = is_first && mutant_ == CoordinationMutant::kKnowsNothingOfEarlierLife;
    return is_early ? local(pgkeel) - kLease : local(pgkeel);
  }

  void renew(Pgkeel& pgkeel, Instant sent_at) {
    ask_etcd(
        pgkeel,
        [this, &pgkeel, lease = pgkeel.lease, sent_at]() -> std::function<void()> {
          const bool renewed = etcd_.renew(lease);
          return [this, &pgkeel, renewed, sent_at] {
            if (renewed) {
              pgkeel.membership->lease_renewed(counted_from(pgkeel, sent_at));
            } else {
              pgkeel.membership->lease_lost();
            }
          };
        },
        [&pgkeel] { pgkeel.membership->lease_not_renewed(); });
  }

  void campaign(Pgkeel& pgkeel) {
    ask_etcd(
        pgkeel,
        [this, &pgkeel, lease = pgkeel.lease, instance = instance_of(pgkeel),
         version = pgkeel.membership->state().roster.version]() -> std::function<void()> {
          if (etcd_.campaign(lease, pgkeel.name, instance, version)) ++outcome_.leaders;
          return [&pgkeel] { pgkeel.membership->campaign_over(); };
        },
        [&pgkeel] { pgkeel.membership->campaign_over(); });
  }

  void give_up(Pgkeel& pgkeel, const std::string& heir) {
    ask_etcd(
        pgkeel,
        [this, &pgkeel, heir, term = pgkeel.membership->state().term]() -> std::function<void()> {
          if (etcd_.hand_over(term, heir)) ++outcome_.hand_overs;
          if (!healed_ && random_.chance(0.3))
            cut_from_etcd(pgkeel, random_.between(1s, 8s));  // and hears no more of it
          return [&pgkeel] { pgkeel.membership->hand_over_tried(); };
        },
        [&pgkeel] { pgkeel.membership->hand_over_tried(); });
  }

  void hand_over() {
    const auto leader = std::ranges::find_if(pgkeels_, [this](const auto& pgkeel) {
      return pgkeel->membership != nullptr && queue_.now() >= pgkeel->frozen_until &&
             pgkeel->membership->leads(local(*pgkeel));
    });
    if (leader == pgkeels_.end()) return;
    const std::string heir = pgkeels_[random_.below(pgkeels_.size())]->name;
    if (heir == (*leader)->name) return;
    if (mutant_ == CoordinationMutant::kLeadsAfterHandOver) return give_up(**leader, heir);
    (*leader)->membership->hand_over(heir);
    step(**leader);
  }

  void look_at_leader() {
    const bool is_led = !etcd_.state().leader.empty();
    if (std::exchange(is_led_, is_led) && !is_led) {
      leaderless_since_ = queue_.now();
      leaderless_revision_ = etcd_.state().revision;
    }
  }

  // As far as it knows: nobody has led for less than the others are given, and one of them lives.
  void check_campaign(const Pgkeel& pgkeel) {
    const AgreedState& known = pgkeel.membership->state();
    if (!pgkeel.ending || is_led_ || known.revision < leaderless_revision_ || known.heir == pgkeel.name) return;
    const bool is_alone = known.members.size() < 2;
    if (is_alone || queue_.now() >= leaderless_since_ + CoordinationPolicy{kLease}.inheritance() * 9 / 10) return;
    outcome_.violation = pgkeel.name + " is being ended, and would lead before the others";
  }

  // It stands back, hands over where it leads, and is gone a while later.
  void end_in_order(Pgkeel& pgkeel, Duration drains) {
    if (pgkeel.membership == nullptr || queue_.now() < pgkeel.frozen_until) return;
    pgkeel.ending = true;
    if (mutant_ != CoordinationMutant::kLeadsWhileItEnds) pgkeel.membership->stand_back();
    if (pgkeel.membership->leads(local(pgkeel))) hand_over();
    queue_.after(drains, [this, &pgkeel, life = pgkeel.life] {
      if (healed_ || pgkeel.life != life || pgkeel.membership == nullptr) return;
      if (!pgkeel.cut_from_etcd && !etcd_away_) etcd_.revoke(pgkeel.lease);
      kill(pgkeel);
      queue_.after(random_.between(10ms, 3s), [this, &pgkeel] { start(pgkeel); });
    });
  }

  // ---- orders to a database server, through sessions as OrderLine has them

  struct SessionKey {
    std::string name;
    std::uint64_t life;
    std::uint64_t term;
    auto operator<=>(const SessionKey&) const = default;
  };

  // A connect, then a look at whether it leads, then the write: the process may be frozen between any two of them.
  void order(Pgkeel& pgkeel) {
    if (pgkeel.ordering || !pgkeel.membership->leads(local(pgkeel))) return;
    pgkeel.ordering = true;
    const SessionKey session{pgkeel.name, pgkeel.life, pgkeel.membership->state().term};
    in_a_moment(pgkeel, [this, &pgkeel, session] {
      sessions_.insert(session);
      in_a_moment(pgkeel, [this, &pgkeel, session] {
        const Membership& membership = *pgkeel.membership;
        const bool leads = membership.leads(local(pgkeel)) && membership.state().term == session.term;
        if (!leads && mutant_ != CoordinationMutant::kOrdersWithoutLooking) {
          pgkeel.ordering = false;
          return;
        }
        in_a_moment(pgkeel, [this, &pgkeel, session] { send(pgkeel, session); });
      });
    });
  }

  // Whatever the process does next; a frozen one does it when it thaws.
  void in_a_moment(Pgkeel& pgkeel, std::function<void()> work) {
    queue_.after(random_.between(10us, 20ms),
                 [this, &pgkeel, life = pgkeel.life, work = std::move(work)] { in_life(pgkeel, life, work); });
  }

  // The first statement of a term ends the sessions of others; each next one is an order.
  void send(Pgkeel& pgkeel, const SessionKey& session) {
    queue_.after(delay(), [this, &pgkeel, session] {
      const bool is_there = sessions_.contains(session);
      const bool clears = is_there && pgkeel.cleared_in != session.term;
      if (clears && mutant_ != CoordinationMutant::kOlderSessionsStay)
        std::erase_if(sessions_, [&](const auto& other) { return other.term != session.term; });
      if (is_there && !clears) carry_out(session);
      in_life(pgkeel, session.life, [&pgkeel, session, clears] {
        pgkeel.ordering = false;
        if (clears) pgkeel.cleared_in = session.term;
      });
    });
  }

  void carry_out(const SessionKey& session) {
    ++outcome_.orders;
    if (session.term < newest_order_)
      outcome_.violation = session.name + " ordered in term " + std::to_string(session.term) +
                           " after an order of term " + std::to_string(newest_order_);
    newest_order_ = std::max(newest_order_, session.term);
  }

  Pgkeel& find(const std::string& name) {
    return **std::ranges::find_if(pgkeels_, [&](const auto& pgkeel) { return pgkeel->name == name; });
  }

  void ask_promise(Pgkeel& pgkeel, const std::string& name, Instant asked_at) {
    const std::uint64_t life = pgkeel.life;
    Pgkeel& other = find(name);
    // An answer that comes later than the request's limit is not read.
    const auto is_over = std::make_shared<bool>(false);
    queue_.after(1s, [this, &pgkeel, life, name, is_over] {
      if (!std::exchange(*is_over, true))
        in_life(pgkeel, life, [&pgkeel, name] { pgkeel.membership->promise_not_heard(name); });
    });
    const PromiseRequest request = pgkeel.membership->promise_request();
    const auto is_cut = [&pgkeel, name] { return pgkeel.cut_from[name]; };
    queue_.after(delay(), [this, &pgkeel, &other, life, is_over, request, is_cut, asked_at] {
      if (is_cut() || other.membership == nullptr) return;
      in_life(other, other.life, [this, &pgkeel, &other, life, is_over, request, is_cut, asked_at] {
        std::optional<Promise> promise;
        if (mutant_ == CoordinationMutant::kForgetsPromises) {
          promise = Membership(*other.membership).answer(request, local(other));
        } else {
          promise = other.membership->answer(request, local(other));
        }
        if (!promise) return;
        queue_.after(delay(), [this, &pgkeel, life, is_over, promise = *promise, is_cut, asked_at] {
          if (is_cut() || std::exchange(*is_over, true)) return;
          in_life(pgkeel, life, [this, &pgkeel, promise, asked_at] {
            const Instant from = mutant_ == CoordinationMutant::kPromisesAreEternal ? asked_at + 1h : asked_at;
            pgkeel.membership->promise_heard(promise, from);
          });
        });
      });
    });
  }

  void apply_route(Pgkeel& pgkeel) {
    const SharedRoute* newest = pgkeel.membership->newest_route(kCluster);
    if (newest == nullptr || pgkeel.applying || newest->serial <= pgkeel.workers.serial) return;
    pgkeel.applying = true;
    const std::uint64_t life = pgkeel.life;
    if (mutant_ == CoordinationMutant::kRoutesBeforeApplying)
      pgkeel.membership->route_applied(kCluster, newest->serial);
    queue_.after(random_.between(10us, 50ms), [this, &pgkeel, life, route = *newest] {
      in_life(pgkeel, life, [&pgkeel, route] {
        pgkeel.applying = false;
        pgkeel.workers = route;
        pgkeel.membership->route_applied(kCluster, route.serial);
      });
    });
  }

  // A decision core that wants another primary now and then.
  void lead(Pgkeel& pgkeel) {
    Membership& membership = *pgkeel.membership;
    if (pgkeel.moving || !membership.leads(local(pgkeel))) return;
    const auto& routes = membership.state().routes;
    const auto found = routes.find(kCluster);
    SharedRoute next;
    if (found == routes.end()) {
      next = {1, 1, "", RouteMode::kNormal, ""};
    } else if (found->second.node.empty()) {
      const bool is_closed_here = pgkeel.workers.serial >= found->second.serial;
      const bool is_closed = membership.closed_elsewhere(kCluster, found->second.serial, local(pgkeel));
      if (!is_closed_here || (!is_closed && mutant_ != CoordinationMutant::kOpensWithoutWaiting)) return;
      next = found->second;
      ++next.serial;
      next.node = "node" + std::to_string(next.epoch % 2);
    } else if (pgkeel.wants_to_move) {
      pgkeel.wants_to_move = false;
      next = found->second;
      ++next.serial;
      ++next.epoch;
      next.node.clear();
    } else {
      return;
    }
    pgkeel.moving = true;
    ask_etcd(
        pgkeel,
        [this, &pgkeel, term = membership.state().term, next]() -> std::function<void()> {
          if (etcd_.write_route(term, kCluster, next)) ++outcome_.route_changes;
          return [&pgkeel] { pgkeel.moving = false; };
        },
        [&pgkeel] { pgkeel.moving = false; });
  }

  [[nodiscard]] bool lets_through(const Pgkeel& pgkeel) const {
    if (pgkeel.membership == nullptr || queue_.now() < pgkeel.frozen_until || pgkeel.workers.node.empty()) return false;
    return mutant_ == CoordinationMutant::kIgnoresDeadline || local(pgkeel) < pgkeel.membership->serve_until(kCluster);
  }

  void check_routes() {
    std::map<std::uint64_t, std::string> open;
    for (const auto& pgkeel : pgkeels_) {
      if (lets_through(*pgkeel)) open[pgkeel->workers.epoch] = pgkeel->name;
    }
    if (open.size() < 2) return;
    outcome_.violation = "at " + std::to_string(to_milliseconds(queue_.now().time_since_epoch())) + " ms:";
    for (const auto& [epoch, name] : open)
      outcome_.violation += " " + name + " routes in epoch " + std::to_string(epoch);
  }

  void check_health() {
    for (const auto& pgkeel : pgkeels_) {
      if (!lets_through(*pgkeel)) outcome_.violation += pgkeel->name + " does not route though all is healthy; ";
    }
  }

  // ---- faults

  void plan_faults() {
    const Instant end = queue_.now() + kFaultsEndAfter;
    // Half of them while the first members are not all on the roster yet.
    const Duration quiet = random_.chance(0.5) ? random_.between(0s, 5s) : random_.between(5s, 12s);
    for (Instant at = queue_.now() + quiet; at < end; at += random_.between(200ms, 10s)) {
      queue_.at(at, [this] { one_fault(); });
    }
  }

  void one_fault() {
    Pgkeel& pgkeel = *pgkeels_[random_.below(pgkeels_.size())];
    const Duration length = random_.chance(0.3) ? random_.between(5s, 40s) : random_.between(10ms, 8s);
    switch (random_.below(11)) {
      case 0:
        if (faults_.etcd_away) {
          etcd_away_ = true;
          queue_.after(length, [this] {
            etcd_away_ = false;
            if (random_.chance(0.5)) etcd_.extend_leases();
          });
        }
        break;
      case 1:
        if (faults_.cuts) cut_from_etcd(pgkeel, length);
        break;
      case 2:
        if (faults_.cuts) {
          const std::string other = pgkeels_[random_.below(pgkeels_.size())]->name;
          pgkeel.cut_from[other] = true;
          queue_.after(length, [&pgkeel, other] { pgkeel.cut_from[other] = false; });
        }
        break;
      case 3:
        if (faults_.freezes && pgkeel.membership != nullptr) {
          pgkeel.frozen_until = std::max(pgkeel.frozen_until, queue_.now() + length);
          queue_.at(pgkeel.frozen_until, [this, &pgkeel] { thaw(pgkeel); });
        }
        break;
      case 4:
        if (faults_.kills) {
          kill(pgkeel);
          queue_.after(length, [this, &pgkeel] { start(pgkeel); });
        }
        break;
      case 5:
        if (faults_.cuts && faults_.moves) {
          cut_from_etcd(pgkeel, length);
          queue_.after(random_.between(0s, 5s), [this] { wish_to_move(); });
        }
        break;
      case 6:
        if (faults_.cuts && faults_.kills && faults_.moves) restart_who_promised(pgkeel);
        break;
      case 7:
        if (faults_.hand_overs) hand_over();
        break;
      case 8:
        if (faults_.ends) end_in_order(pgkeel, length);
        break;
      default:
        if (faults_.moves) wish_to_move();
    }
  }

  void cut_from_etcd(Pgkeel& pgkeel, Duration length) {
    pgkeel.cut_from_etcd = true;
    pgkeel.hears_etcd = random_.chance(0.5);
    queue_.after(length, [&pgkeel] {
      pgkeel.cut_from_etcd = false;
      pgkeel.hears_etcd = true;
    });
  }

  void wish_to_move() {
    for (auto& each : pgkeels_) each->wants_to_move = true;
  }

  // One is cut off for longer than its lease, goes on by the promises of the others, and they are started anew.
  void restart_who_promised(Pgkeel& cut) {
    cut_from_etcd(cut, random_.between(6s, 15s));
    cut.hears_etcd = false;
    queue_.after(random_.between(4s, 7s), [this, &cut] {
      for (auto& each : pgkeels_) {
        if (each.get() == &cut) continue;
        kill(*each);
        queue_.after(random_.between(10ms, 500ms), [this, &each = *each] { start(each); });
      }
      for (int wish = 0; wish < 10; ++wish) queue_.after(wish * 300ms, [this] { wish_to_move(); });
    });
  }

  void thaw(Pgkeel& pgkeel) {
    if (queue_.now() < pgkeel.frozen_until) return;
    for (auto& work : std::exchange(pgkeel.when_thawed, {})) work();
  }

  void heal() {
    etcd_away_ = false;
    healed_ = true;
    for (auto& pgkeel : pgkeels_) {
      pgkeel->cut_from_etcd = false;
      pgkeel->hears_etcd = true;
      pgkeel->cut_from.clear();
      pgkeel->frozen_until = {};
      thaw(*pgkeel);
      start(*pgkeel);
    }
  }

  EventQueue queue_;
  Random random_;
  const CoordinationMutant mutant_;
  const PartyFaults faults_;
  Etcd etcd_;
  bool etcd_away_ = false;
  bool is_led_ = false;  // as etcd has it now
  Instant leaderless_since_{};
  std::uint64_t leaderless_revision_ = 0;
  bool healed_ = false;
  std::vector<std::unique_ptr<Pgkeel>> pgkeels_;
  std::set<SessionKey> sessions_;   // for orders, at the server
  std::uint64_t newest_order_ = 0;  // the newest term in which one was carried out
  PartyOutcome outcome_;
};

}  // namespace

PartyOutcome play_party(std::uint64_t seed, std::size_t members, CoordinationMutant mutant, PartyFaults faults) {
  return Party(seed, members, mutant, faults).play();
}

}  // namespace pgkeel::simulation
