// An agreement without etcd: the test says what is agreed on, and what becomes of each write. Tests only.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "replication/coordination/coordination.h"

namespace pgkeel::test {

inline constexpr Duration kFakeLease = std::chrono::seconds(60);

// This member is "one", the other one "two"; both live and are on the roster. "two" leads, until the test says else.
class FakeCoordination final : public Coordination {
 public:
  FakeCoordination() : membership_("one", "one-1", {kFakeLease}, now() - 2 * kFakeLease) {
    state.revision = 1;
    for (const std::string name : {"one", "two"}) {
      state.members[name].instance = name + "-1";
      state.members[name].address = name + ":7434";
      state.members[name].version = "1.0";
      state.roster.members.insert(name);
    }
    state.roster.version = 1;
    state.leader = "two";
    state.leader_instance = "two-1";
    state.term = 3;
    membership_.lease_granted(now());
    membership_.registered(state, now());
  }

  // What `state` holds now is agreed on.
  void agree() {
    ++state.revision;
    membership_.agreed(state, now());
  }
  void lead(std::uint64_t term) {
    state.leader = "one";
    state.leader_instance = "one-1";
    state.term = term;
    agree();
  }
  void open_route(std::uint64_t serial, std::uint64_t epoch, const std::string& node,
                  RouteMode mode = RouteMode::kNormal) {
    state.routes[cluster] = {serial, epoch, node, mode, "as the test says", state.revision + 1};
    agree();
  }
  void lose_lease() { membership_.lease_lost(); }

  [[nodiscard]] const Membership& membership() const override { return membership_; }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::string problem() const override { return {}; }
  void route_applied(const std::string& of, std::uint64_t serial) override {
    applied[of] = serial;
    membership_.route_applied(of, serial);
    state.members["one"].applied[of] = serial;
  }
  void route_drained(const std::string& of, std::uint64_t serial) override { drained[of] = serial; }
  [[nodiscard]] bool drained_elsewhere(const std::string&, std::uint64_t) const override { return others_drained; }
  void write_memory(const std::string&, const std::string& text, Written written) override {
    memories.emplace_back(text, std::move(written));
  }
  void write_route(const std::string&, SharedRoute route, Written written) override {
    routes.emplace_back(std::move(route), std::move(written));
  }
  void hand_over(const std::string& heir) override {
    handed_to = heir;
    membership_.hand_over(heir);
  }
  void stand_back() override { membership_.stand_back(); }

  AgreedState state;
  std::string cluster = "orders";
  std::map<std::string, std::uint64_t> applied;
  std::map<std::string, std::uint64_t> drained;
  bool others_drained = false;
  std::vector<std::pair<std::string, Written>> memories;  // writes that have not been answered
  std::vector<std::pair<SharedRoute, Written>> routes;
  std::string handed_to;

 private:
  const std::string name_ = "one";
  Membership membership_;
};

}  // namespace pgkeel::test
