// Members that agree through a real etcd: one leads, all follow the route, and what happens where one of them or etcd
// goes. They live in this process and ask each other for promises by calls.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "replication/coordination/coordinator.h"
#include "tests/support/etcd_server.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLease = 2s;
const std::string kCluster = "orders";

class Party {
 public:
  explicit Party(const EtcdServer& etcd) : url_(etcd.url()) {}

  Coordinator& add(const std::string& name) {
    CoordinationSettings settings;
    settings.etcd.endpoints = {url_};
    settings.prefix = "/pgkeel/";
    settings.lease = kLease;
    settings.name = name;
    settings.self.machine = "machine-of-" + name;
    settings.self.instance = name + std::to_string(++lives_);
    settings.self.address = name;
    members_[name] = std::make_unique<Coordinator>(
        loop_, settings,
        [this](const std::string& address, const PromiseRequest& request, auto done) {
          loop_.defer([this, address, request, done = std::move(done)] {
            const auto peer = members_.find(address);
            done(peer == members_.end() ? std::nullopt : peer->second->answer(request));
          });
        },
        [this, name] { follow(name); });
    members_[name]->start();
    return *members_[name];
  }

  // As a process that is killed: without a word to etcd.
  void kill(const std::string& name) {
    loop_.defer([this, name] { members_.erase(name); });
  }

  // The workers of a member take over at once what they hear.
  void follow(const std::string& name) {
    const auto member = members_.find(name);
    if (member == members_.end() || member->second == nullptr) return;
    const SharedRoute* route = member->second->membership().newest_route(kCluster);
    if (route == nullptr || applied_[name] == route->serial) return;
    applied_[name] = route->serial;
    loop_.defer([this, name, serial = route->serial] {
      if (const auto still = members_.find(name); still != members_.end())
        still->second->route_applied(kCluster, serial);
    });
  }

  void run_until(const std::function<bool()>& condition) {
    bool held = false;
    Timer often(loop_, [&] {
      if ((held = condition())) loop_.stop();
    });
    Timer late(loop_, [&] { loop_.stop(); });
    often.start_repeating(1ms);
    late.start_once(60s);
    loop_.run();
    REQUIRE(held);
  }

  void write_route(const std::string& leader, SharedRoute route) {
    std::optional<Result<void>> written;
    members_.at(leader)->write_route(kCluster, std::move(route), [&](Result<void> result) { written = result; });
    run_until([&] { return written.has_value(); });
    REQUIRE_MESSAGE(*written, written->error().message);
  }

  [[nodiscard]] const Membership& of(const std::string& name) const { return members_.at(name)->membership(); }
  [[nodiscard]] bool leads(const std::string& name) const { return of(name).leads(Coordinator::now()); }
  [[nodiscard]] bool serves(const std::string& name) const {
    return Coordinator::now() < of(name).serve_until(kCluster);
  }
  [[nodiscard]] std::string leader() const {
    for (const auto& member : members_) {
      if (leads(member.first)) return member.first;
    }
    return "";
  }
  Loop& loop() { return loop_; }

 private:
  const std::string url_;
  Loop loop_;
  int lives_ = 0;
  std::map<std::string, std::uint64_t> applied_;
  std::map<std::string, std::unique_ptr<Coordinator>> members_;
};

TEST_CASE("one member leads, and a route is closed when all have acknowledged it") {
  EtcdServer etcd;
  Party party(etcd);
  party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.run_until([&] { return party.of("a").state().roster.members.size() == 2; });
  CHECK_FALSE(party.leads("b"));

  party.write_route("a", {0, 1, "n1", RouteMode::kNormal, "the first"});
  party.run_until([&] { return party.serves("a") && party.serves("b"); });
  party.write_route("a", {0, 2, "", RouteMode::kNormal, "it moves"});
  party.run_until([&] { return party.of("a").closed_elsewhere(kCluster, 2, Coordinator::now()); });
  CHECK(party.of("b").newest_route(kCluster)->epoch == 2);
}

TEST_CASE("a leader hands over to the one that it names, whoever else is there, and keeps its lease") {
  EtcdServer etcd;
  Party party(etcd);
  Coordinator& a = party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.add("c");
  party.run_until([&] { return party.of("a").state().roster.members.size() == 3; });
  party.run_until([&] { return party.of("c").state().roster.members.size() == 3; });
  const std::uint64_t term = party.of("a").state().term;
  a.hand_over("c");
  CHECK_FALSE(party.leads("a"));
  party.run_until([&] { return party.leads("c"); });
  CHECK(party.of("c").state().term > term);
  CHECK(party.of("c").state().heir.empty());
  party.run_until([&] { return party.of("a").state().leader == "c"; });
  CHECK(party.of("a").holds_lease(Coordinator::now()));
}

TEST_CASE("where the one that is named does not live any more, another one leads, before a lease is over") {
  EtcdServer etcd;
  Party party(etcd);
  Coordinator& a = party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.run_until([&] { return party.of("a").state().roster.members.size() == 2; });
  party.kill("b");
  const Instant began = Coordinator::now();
  a.hand_over("b");
  CHECK_FALSE(party.leads("a"));
  party.run_until([&] { return party.leads("a"); });
  CHECK(Coordinator::now() - began >= CoordinationPolicy{kLease}.inheritance());
}

TEST_CASE("what a member is configured with is told anew after a reload") {
  EtcdServer etcd;
  Party party(etcd);
  Coordinator& a = party.add("a");
  party.add("b");
  party.run_until([&] { return party.of("b").state().members.contains("a"); });
  a.configuration_is("0123456789abcdef");
  party.run_until([&] { return party.of("b").state().members.at("a").configuration == "0123456789abcdef"; });
  party.run_until([&] { return party.of("a").state().members.at("a").configuration == "0123456789abcdef"; });
}

TEST_CASE("a leader that is killed is followed by another, which waits for its lease and goes on from the same route") {
  EtcdServer etcd;
  Party party(etcd);
  party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.run_until([&] { return party.of("b").state().roster.members.size() == 2; });
  party.write_route("a", {0, 1, "n1", RouteMode::kNormal, "the first"});
  party.run_until([&] { return party.serves("b"); });

  party.kill("a");
  party.run_until([&] { return party.leads("b"); });
  CHECK(party.serves("b"));
  party.write_route("b", {0, 2, "", RouteMode::kNormal, "it moves"});
  party.run_until([&] { return party.of("b").closed_elsewhere(kCluster, 2, Coordinator::now()); });
}

TEST_CASE("etcd away stops nobody who has the promises of all others, and nothing is decided") {
  EtcdServer etcd;
  Party party(etcd);
  party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.run_until([&] { return party.of("b").state().roster.members.size() == 2; });
  party.write_route("a", {0, 1, "n1", RouteMode::kNormal, "the first"});
  party.run_until([&] { return party.serves("a") && party.serves("b"); });

  etcd.freeze();
  const Instant frozen_at = monotonic_now();
  bool always = true;
  party.run_until([&] {
    always = always && party.serves("a") && party.serves("b");
    return monotonic_now() > frozen_at + 3 * kLease;
  });
  CHECK(always);
  CHECK(party.leader().empty());

  // One of them goes: the other has no promise any more, and stops.
  party.kill("b");
  party.run_until([&] { return !party.serves("a"); });
  etcd.thaw();
  party.run_until([&] { return party.leads("a") && party.serves("a"); });
}

TEST_CASE("a member that leaves is not waited for") {
  EtcdServer etcd;
  Party party(etcd);
  Coordinator& first = party.add("a");
  party.run_until([&] { return party.leads("a"); });
  party.add("b");
  party.run_until([&] { return party.of("b").state().roster.members.size() == 2; });
  bool left = false;
  first.leave([&] { left = true; });
  party.run_until([&] { return left; });
  CHECK_FALSE(party.leads("a"));
  party.run_until([&] { return party.leads("b"); });
  CHECK_FALSE(party.of("b").state().members.contains("a"));
}

}  // namespace
}  // namespace pgkeel::test
