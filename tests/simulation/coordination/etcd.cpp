#include "tests/simulation/coordination/etcd.h"

#include <algorithm>
#include <vector>

namespace pgkeel::simulation {

Duration Etcd::full_term() const {
  return Duration(static_cast<Duration::rep>(static_cast<double>(lease_.count()) / clock_rate_));
}

void Etcd::changed() {
  ++state_.revision;
  if (on_change) on_change();
}

Etcd::LeaseId Etcd::grant() {
  leases_[++newest_lease_] = {"", queue_.now() + full_term()};
  return newest_lease_;
}

bool Etcd::renew(LeaseId lease) {
  expire_leases();
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return false;
  found->second.until = queue_.now() + full_term();
  return true;
}

void Etcd::revoke(LeaseId lease) {
  if (leases_.contains(lease)) drop(lease);
}

void Etcd::drop(LeaseId lease) {
  const Lease gone = leases_.at(lease);
  leases_.erase(lease);
  const auto holder = lease_of_member_.find(gone.member);
  bool anything = false;
  if (holder != lease_of_member_.end() && holder->second == lease) {
    lease_of_member_.erase(holder);
    anything = state_.members.erase(gone.member) > 0;
  }
  if (lease_of_leader_ == lease && !state_.leader.empty()) {
    state_.leader.clear();
    state_.leader_instance.clear();
    anything = true;
  }
  if (anything) changed();
}

void Etcd::expire_leases() {
  std::vector<LeaseId> over;
  for (const auto& [id, lease] : leases_) {
    if (queue_.now() >= lease.until) over.push_back(id);
  }
  for (const auto id : over) drop(id);
}

void Etcd::extend_leases() {
  for (auto& lease : leases_) lease.second.until = std::max(lease.second.until, queue_.now() + full_term());
}

std::optional<AgreedState> Etcd::register_member(LeaseId lease, const std::string& name, const std::string& instance) {
  expire_leases();
  if (!leases_.contains(lease)) return {};
  const auto before = lease_of_member_.find(name);
  if (before != lease_of_member_.end() && before->second != lease) drop(before->second);
  leases_[lease].member = name;
  lease_of_member_[name] = lease;
  LiveMember& member = state_.members[name];
  member = {};
  member.instance = instance;
  changed();
  return state_;
}

bool Etcd::acknowledge(LeaseId lease, const std::string& name, const std::string& cluster, std::uint64_t serial) {
  expire_leases();
  const auto holder = lease_of_member_.find(name);
  if (holder == lease_of_member_.end() || holder->second != lease) return false;
  state_.members[name].applied[cluster] = serial;
  changed();
  return true;
}

bool Etcd::campaign(LeaseId lease, const std::string& name, const std::string& instance, std::uint64_t roster_version) {
  expire_leases();
  const auto holder = lease_of_member_.find(name);
  if (holder == lease_of_member_.end() || holder->second != lease || !state_.leader.empty() ||
      state_.roster.version != roster_version || !state_.roster.members.contains(name))
    return false;
  state_.leader = name;
  state_.leader_instance = instance;
  state_.heir.clear();
  lease_of_leader_ = lease;
  state_.term = state_.revision + 1;
  changed();
  return true;
}

bool Etcd::hand_over(std::uint64_t term, const std::string& heir) {
  expire_leases();
  if (state_.leader.empty() || state_.term != term) return false;
  state_.leader.clear();
  state_.leader_instance.clear();
  state_.heir = heir;
  changed();
  return true;
}

bool Etcd::write_roster(std::uint64_t term, const Roster& roster) {
  expire_leases();
  if (roster.version != state_.roster.version) return false;
  const bool is_first = roster.version == 0;
  if (!is_first && (state_.leader.empty() || state_.term != term)) return false;
  for (const auto& member : state_.roster.members) {
    if (!roster.members.contains(member) && state_.members.contains(member)) return false;
  }
  state_.roster = {state_.revision + 1, roster.members};
  changed();
  return true;
}

bool Etcd::write_route(std::uint64_t term, const std::string& cluster, const SharedRoute& route) {
  expire_leases();
  if (state_.leader.empty() || state_.term != term) return false;
  SharedRoute& old = state_.routes[cluster];
  if (route.serial != old.serial + 1) return false;
  old = route;
  changed();
  return true;
}

}  // namespace pgkeel::simulation
