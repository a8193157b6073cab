#include "replication/coordination/membership.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgkeel {

Membership::Membership(std::string name, std::string instance, CoordinationPolicy policy, Instant now)
    : name_(std::move(name)), instance_(std::move(instance)), policy_(policy), quiet_until_(now + policy.lease) {}

bool Membership::begin(Attempt& attempt, Instant now) const {
  if (attempt.running || now < attempt.began + policy_.renew_every()) return false;
  attempt = {true, now};
  return true;
}

CoordinationWishes Membership::step(Instant now) {
  CoordinationWishes wishes;
  wishes.again_at = now + policy_.renew_every() / 2;
  if (!has_lease_) {
    wishes.grant_lease = begin(granting_, now);
  } else {
    wishes.renew_lease = begin(renewing_, now);
    if (!registered_) wishes.register_member = begin(registering_, now);
  }
  if (is_registered()) {
    if (may_campaign(now)) wishes.campaign = begin(campaigning_, now);
    if (is_leader() && state_.term == term_given_up_ && begin(handing_over_, now)) wishes.hand_over = heir_;
    for (const auto& [cluster, serial] : applied_) {
      const auto& known = state_.members.at(name_).applied;
      const auto told = known.find(cluster);
      if ((told == known.end() || told->second < serial) && begin(acknowledging_[cluster], now))
        wishes.acknowledge[cluster] = serial;
    }
    if (auto better = better_roster(now); better && begin(writing_roster_, now)) {
      // An earlier attempt may be carried out still: whoever it names counts as well.
      if (!pending_roster_) pending_roster_ = PendingRoster{state_.term, state_.roster.version, {}, {}};
      pending_roster_->members.insert(better->members.begin(), better->members.end());
      std::ranges::set_difference(state_.roster.members, better->members,
                                  std::inserter(pending_roster_->leaving, pending_roster_->leaving.end()));
      wishes.write_roster = std::move(better);
    }
  }
  if (!is_in_touch(now) && state_.revision > 0 && roster().members.contains(name_)) {
    for (const auto& member : whose_promises()) {
      if (begin(asking_[member], now)) wishes.ask_promises.push_back(member);
    }
  }
  return wishes;
}

void Membership::lease_granted(Instant sent_at) {
  granting_.running = false;
  has_lease_ = true;
  registered_ = false;
  renewed_at_ = sent_at;
}

void Membership::lease_renewed(Instant sent_at) {
  renewing_.running = false;
  if (has_lease_) renewed_at_ = std::max(renewed_at_, sent_at);
}

void Membership::go_on_with_lease(Instant renewed_at) {
  has_lease_ = registered_ = goes_on_ = true;
  renewed_at_ = renewed_at;
}

void Membership::lease_lost() {
  renewing_.running = false;
  has_lease_ = false;
  registered_ = false;
}

void Membership::registered(AgreedState state, Instant now) {
  registering_.running = false;
  if (!has_lease_) return;
  registered_ = true;
  serials_at_registration_.clear();
  for (const auto& [cluster, route] : state.routes) serials_at_registration_[cluster] = route.serial;
  // This is of now: there is nothing newer that a promise could have told.
  told_routes_.clear();
  told_roster_ = {};
  take_over(std::move(state), now);
  look_for_own_key();
}

void Membership::agreed(AgreedState state, Instant now) {
  take_over(std::move(state), now);
}

// Somebody may have removed it, or another process may have taken the name, though the lease holds.
void Membership::look_for_own_key() {
  const auto self = state_.members.find(name_);
  if (self == state_.members.end() || self->second.instance != instance_) registered_ = false;
}

void Membership::take_over(AgreedState state, Instant now) {
  if (state.revision <= state_.revision) return;
  if (state.heir != state_.heir) heir_since_ = now;
  if (state.leader.empty() && !state_.leader.empty()) leaderless_since_ = now;
  state_ = std::move(state);
  if (pending_roster_ && (state_.roster.version != pending_roster_->replaces || state_.term != pending_roster_->term))
    pending_roster_.reset();  // it was carried out, or never will be
  look_for_own_key();
  const bool on_roster = state_.roster.members.contains(name_);
  if (on_roster && !was_on_roster_) quiet_until_ = std::max(quiet_until_, now + policy_.lease);
  was_on_roster_ = on_roster;
  std::erase_if(absent_since_, [&](const auto& absent) {
    return is_live(absent.first) || !state_.roster.members.contains(absent.first);
  });
  for (const auto& member : state_.roster.members) {
    if (!is_live(member)) absent_since_.emplace(member, now);
  }
}

void Membership::route_applied(const std::string& cluster, std::uint64_t serial) {
  auto& applied = applied_[cluster];
  applied = std::max(applied, serial);
}

std::optional<Promise> Membership::answer(const PromiseRequest& request, Instant now) {
  Promise promise{name_, true, roster(), told_routes_};
  if (state_.revision == 0 || !promise.roster.members.contains(name_)) return {};
  for (const auto& [cluster, route] : state_.routes) promise.routes[cluster] = *newest_route(cluster);
  promise.holds = promise.roster.members.contains(request.from);
  if (pending_roster_) {
    if (pending_roster_->leaving.contains(request.from)) promise.holds = false;
    promise.roster.members.insert(pending_roster_->members.begin(), pending_roster_->members.end());
  }
  // Another process has its name now.
  const auto live = state_.members.find(request.from);
  if (live != state_.members.end() && live->second.instance != request.instance) promise.holds = false;
  // One that is behind would bind us to wait for it. A cluster that it does not name is one that it does not route.
  for (const auto& [cluster, route] : promise.routes) {
    const auto applied = request.applied.find(cluster);
    if (applied != request.applied.end() && applied->second < route.serial) promise.holds = false;
  }
  if (!promise.roster.members.contains(request.from)) return promise;
  auto& askers = askers_[request.from];
  std::erase_if(askers, [&](const auto& asker) {
    return now >= asker.second.promised_until && now >= asker.second.heard_at + 2 * policy_.lease;
  });
  Asker& asker = askers[request.instance];
  asker.heard_at = now;
  if (promise.holds) asker.promised_until = std::max(asker.promised_until, now + policy_.lease);
  for (const auto& [cluster, serial] : request.applied) {
    auto& applied = asker.applied[cluster];
    applied = std::max(applied, serial);
  }
  return promise;
}

void Membership::promise_heard(const Promise& promise, Instant asked_at) {
  asking_[promise.from].running = false;
  if (promise.roster.version > roster().version) told_roster_ = promise.roster;
  rosters_told_[promise.from] = promise.roster.members;
  for (const auto& [cluster, route] : promise.routes) {
    const SharedRoute* known = newest_route(cluster);
    if (known == nullptr || known->serial < route.serial) told_routes_[cluster] = route;
  }
  if (promise.holds) promises_since_[promise.from] = asked_at;
}

const SharedRoute* Membership::newest_route(const std::string& cluster) const {
  const auto agreed = state_.routes.find(cluster);
  const auto told = told_routes_.find(cluster);
  if (told != told_routes_.end() && (agreed == state_.routes.end() || told->second.serial > agreed->second.serial))
    return &told->second;
  return agreed == state_.routes.end() ? nullptr : &agreed->second;
}

const Roster& Membership::roster() const {
  return told_roster_.version > state_.roster.version ? told_roster_ : state_.roster;
}

std::set<std::string> Membership::whose_promises() const {
  std::set<std::string> whose = roster().members;
  for (const auto& told : rosters_told_) whose.insert(told.second.begin(), told.second.end());
  // Those that are being added may be on it already, and lead without our knowing.
  if (pending_roster_) whose.insert(pending_roster_->members.begin(), pending_roster_->members.end());
  whose.erase(name_);
  return whose;
}

bool Membership::is_registered() const {
  if (!has_lease_ || !registered_) return false;
  const auto self = state_.members.find(name_);
  return self != state_.members.end() && self->second.instance == instance_;
}

bool Membership::is_leader() const {
  return is_registered() && state_.leader == name_ && state_.leader_instance == instance_;
}

// One to whom it was handed over goes first, if it lives, and one that is ending last: it leads but where none of the
// others does. As the heir it leads all the same, for they wait for it, and can hand it on.
bool Membership::may_campaign(Instant now) const {
  if (!state_.leader.empty() || !roster().members.contains(name_)) return false;
  const std::string& heir = state_.heir;
  if (heir == name_) return true;
  Instant from{};
  if (!heir.empty() && is_live(heir)) from = heir_since_ + policy_.inheritance();
  const bool is_alone = std::ranges::none_of(state_.members, [this](const auto& live) { return live.first != name_; });
  if (stands_back_ && !is_alone) from = std::max(from, leaderless_since_) + policy_.inheritance();
  return now >= from;
}

void Membership::hand_over(const std::string& heir) {
  heir_ = heir;
  term_given_up_ = state_.term;
}

Instant Membership::lease_until() const {
  return renewed_at_ + policy_.lease - policy_.margin();
}

Instant Membership::promises_until(const std::string& cluster) const {
  const auto applied = applied_.find(cluster);
  const SharedRoute* route = newest_route(cluster);
  if (route == nullptr || applied == applied_.end() || applied->second < route->serial) return {};
  Instant until = Instant::max();
  for (const auto& member : whose_promises()) {
    const auto since = promises_since_.find(member);
    if (since == promises_since_.end()) return {};
    until = std::min(until, since->second + policy_.lease - policy_.margin());
  }
  return until;
}

Membership::Promises Membership::promises(Instant now) const {
  Promises promises;
  for (const auto& member : whose_promises()) {
    ++promises.wanted;
    const auto since = promises_since_.find(member);
    if (since != promises_since_.end() && now < since->second + policy_.lease - policy_.margin()) ++promises.held;
  }
  return promises;
}

Instant Membership::serve_until(const std::string& cluster) const {
  // Nothing is acknowledged before etcd is heard, so that nobody takes the routes of now for closed here while the
  // lease lives.
  if (state_.revision == 0 && goes_on_ && has_lease_) return lease_until();
  if (state_.revision == 0 || !roster().members.contains(name_)) return {};
  Instant until = promises_until(cluster);
  const auto needed = serials_at_registration_.find(cluster);
  const auto applied = applied_.find(cluster);
  const bool is_up_to_date =
      needed == serials_at_registration_.end() || (applied != applied_.end() && applied->second >= needed->second);
  if (is_registered() && is_up_to_date) until = std::max(until, lease_until());
  return until;
}

bool Membership::leads(Instant now) const {
  return is_leader() && holds_lease(now) && state_.term != term_given_up_;
}

bool Membership::closed_elsewhere(const std::string& cluster, std::uint64_t serial, Instant now) const {
  const auto agreed = state_.routes.find(cluster);
  if (agreed == state_.routes.end() || agreed->second.serial < serial) return false;  // who is live then is not known
  return maybe_open(cluster, serial, now).empty();
}

std::set<std::string> Membership::maybe_open(const std::string& cluster, std::uint64_t serial, Instant now) const {
  std::set<std::string> others = state_.roster.members;
  for (const auto& live : state_.members) others.insert(live.first);
  others.erase(name_);
  std::erase_if(others, [&](const std::string& member) { return !may_be_open(member, cluster, serial, now); });
  return others;
}

bool Membership::may_be_open(const std::string& member, const std::string& cluster, std::uint64_t serial,
                             Instant now) const {
  const auto has_closed = [&](const std::map<std::string, std::uint64_t>& applied) {
    const auto known = applied.find(cluster);
    return known != applied.end() && known->second >= serial;
  };
  const auto live = state_.members.find(member);
  bool said_so = live != state_.members.end() && has_closed(live->second.applied);
  if (live != state_.members.end() && !said_so) return true;
  // A process that had the name before, or has lost it, may go on by a promise.
  if (const auto askers = askers_.find(member); askers != askers_.end()) {
    for (const auto& [instance, asker] : askers->second) {
      if (live != state_.members.end() && live->second.instance == instance) continue;
      if (has_closed(asker.applied)) {
        said_so = true;
      } else if (now < asker.promised_until) {
        return true;
      }
    }
  }
  return !said_so && now < quiet_until_;
}

Instant Membership::closed_elsewhere_at() const {
  Instant at = quiet_until_;
  for (const auto& [member, askers] : askers_) {
    for (const auto& [instance, asker] : askers) at = std::max(at, asker.promised_until);
  }
  return at;
}

bool Membership::is_promised(const std::string& name, Instant now) const {
  const auto askers = askers_.find(name);
  return askers != askers_.end() &&
         std::ranges::any_of(askers->second, [&](const auto& asker) { return now < asker.second.promised_until; });
}

std::optional<Roster> Membership::better_roster(Instant now) const {
  if (state_.roster.version == 0) return Roster{0, {name_}};
  if (!leads(now)) return {};
  Roster better = state_.roster;
  for (const auto& live : state_.members) better.members.insert(live.first);
  std::erase_if(better.members, [&](const std::string& member) {
    const auto absent = absent_since_.find(member);
    return member != name_ && absent != absent_since_.end() && now >= absent->second + policy_.absence() &&
           now >= quiet_until_ && !is_promised(member, now);
  });
  if (better == state_.roster) return {};
  return better;
}

}  // namespace pgkeel
