// Faults on a real cluster, one after the other, under writers that know what was acknowledged. See README.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>

#include <CLI/CLI.hpp>

#include "proxy/io/clock.h"
#include "tests/chaos/cluster.h"
#include "tests/chaos/faults.h"
#include "tests/chaos/history.h"
#include "tests/chaos/report.h"
#include "tests/chaos/watches.h"
#include "tests/chaos/workload.h"
#include "tests/support/wait_until.h"

namespace {

using namespace pgkeel;
using namespace pgkeel::chaos;
using namespace std::chrono_literals;

constexpr int kSkipped = 77;  // as ctest is told
constexpr std::size_t kWriters = 6;

struct Arguments {
  double minutes = 0;  // 0: the fixed short set
  std::uint64_t seed = 0;
  std::string durability = "available";
  std::size_t servers = 2;
  bool without_agents = false;
  std::size_t pgkeels = 1;
  bool vip = false;
  std::vector<std::string> only;
  std::string json_file;
};

struct Step {
  const Fault* fault = nullptr;
  Duration lasts{};
  bool must_show = false;  // what comes of the fault is waited for
};

constexpr Duration kShowsLimit = 60s;

// One of each sort, and not long: for every run of the tests.
std::vector<Step> short_set(bool with_disks, bool with_agents) {
  std::vector<Step> steps = {{&fault("kill primary"), 1s},
                             {&fault("freeze primary"), 4s},
                             {&fault("isolate primary"), 4s},
                             {&fault("cut primary to pgkeel"), 4s},
                             {&fault("cut primary and standby"), 3s},
                             {&fault("restart primary at once"), 0s},
                             {&fault("kill primary, then pgkeel, which is restarted"), 1s}};
  if (with_disks) {
    steps.push_back({&fault("disk of primary full"), 2s});
    steps.push_back({&fault("disk of primary stands still"), 2s});
    steps.push_back({&fault("disk of standby slow"), 0s});
    steps.push_back({&fault("state folder full, then kill primary"), 1s});
  }
  if (with_agents) steps.push_back({&fault("kill primary and its agent"), 1s});
  return steps;
}

// The same for several pgkeels.
std::vector<Step> short_set_of_several() {
  return {{&fault("kill leader"), 0s, true},
          {&fault("freeze leader"), Pgkeels::kLease, true},
          {&fault("cut leader and etcd"), 0s, true},
          {&fault("cut leader and primary"), 0s, true},
          {&fault("cut leader and its peers"), 2s, true},
          {&fault("cut leader and primary from all but clients"), 6s},
          {&fault("kill leader of etcd"), 0s, true},
          {&fault("kill quorum of etcd"), Pgkeels::kLease, true},
          {&fault("kill leader and primary"), 500ms}};
}

// The same where clients know but the virtual IP.
std::vector<Step> short_set_of_the_vip() {
  return {{&fault("kill leader"), 0s, true},
          {&fault("every pgkeel in turn: pgkeel restart"), 0s},
          {&fault("restart every pgkeel in turn"), 0s},
          {&fault("cut leader and etcd"), 0s, true}};
}

// Short ones are as likely as long ones.
Step random_step(const std::vector<const Fault*>& faults, Random& random) {
  const double seconds = std::exp(std::uniform_real_distribution(std::log(0.1), std::log(12.0))(random));
  return {faults[std::uniform_int_distribution<std::size_t>(0, faults.size() - 1)(random)],
          std::chrono::milliseconds(static_cast<int>(seconds * 1000))};
}

std::unordered_set<std::uint64_t> ids_in(const Cluster& cluster, const std::string& condition) {
  std::unordered_set<std::uint64_t> ids;
  for (const auto& row : cluster.query_primary("SELECT id FROM written" + condition)) {
    ids.insert(std::stoull(row.front().value()));
  }
  return ids;
}

class Run {
 public:
  Run(Cluster& cluster, std::uint64_t seed, bool some_impatient)
      : cluster_(cluster),
        random_(seed),
        workload_(cluster_.network(), kClientsHost, cluster_.pgkeels().conninfos(), kWriters, some_impatient) {
    const Pgkeels& pgkeels = cluster_.pgkeels();
    if (!pgkeels.are_several()) return;
    std::vector<std::string> conninfos;
    for (const auto& name : pgkeels.names()) conninfos.push_back(pgkeels.conninfo_of(name));
    routes_.emplace(cluster_.network(), kClientsHost, conninfos);
    if (pgkeels.have_vip()) vip_.emplace(cluster_.network(), pgkeels.names(), kVirtualAddress);
  }

  void play(const Step& step) {
    const auto round = static_cast<std::uint32_t>(rounds_.size() + 1);
    workload_.begin_round(round);
    if (!workload_.wait_for_more(20, 60s)) throw std::runtime_error("nothing is acknowledged any more");
    RoundResult result;
    result.kind = step.fault->kind;
    const Roles roles = cast();
    const auto errors_before = workload_.errors();
    const auto connects_before = workload_.connects();
    const std::size_t without_vip_before = vip_ ? vip_->looks_without_holder() : 0;
    const Instant began = monotonic_now();
    step.fault->begin(cluster_, roles, random_);
    std::this_thread::sleep_for(step.lasts);
    if (step.must_show && step.fault->shows &&
        !test::wait_until([&] { return step.fault->shows(cluster_, roles); }, kShowsLimit))
      throw std::runtime_error("what must come of \"" + result.kind + "\" does not");
    cluster_.undo();
    const Instant undone = monotonic_now();
    if (!cluster_.settle()) throw std::runtime_error("after \"" + result.kind + "\" it does not become normal");
    const Instant settled = monotonic_now();
    result.fault_lasted = undone - began;
    result.settled = settled - undone;
    result.primary_changed = cluster_.primary() != roles.primary;
    // In this order: what is acknowledged now must be found.
    const History history = workload_.history_of(round);
    result.lost = count_lost(history, ids_in(cluster_, " WHERE round = " + std::to_string(round)));
    result.gap = longest_gap(history, began, settled);
    result.gap_of_one = longest_gap_of_one(history, began, settled);
    result.client_errors = workload_.errors();
    for (const auto& [sqlstate, count] : errors_before) result.client_errors[sqlstate] -= count;
    std::erase_if(result.client_errors, [](const auto& each) { return each.second == 0; });
    const auto connects = workload_.connects();
    if (step.fault->lets_everybody_connect && connects.failed > connects_before.failed) {
      refused_in_turn_ += connects.failed - connects_before.failed;
      std::cout << "could not connect: " << connects.last_failure << std::endl;
    }
    const bool is_noticed = !result.client_errors.empty() || connects.failed > connects_before.failed ||
                            (vip_ && vip_->looks_without_holder() > without_vip_before);
    result.is_unwanted =
        (step.fault->keeps_primary && result.primary_changed) || (step.fault->is_unnoticed && is_noticed);
    rounds_.push_back(result);
    std::cout << line_about(round, result) << std::endl;
  }

  // All is acknowledged or failed, and nothing is on its way any more.
  void judge(Totals& totals) {
    workload_.stop();
    const History history = workload_.history();
    const auto present = ids_in(cluster_, "");
    totals.acknowledged = history.size();
    totals.lost = count_lost(history, present);
    totals.ghosts = count_ghosts(history, present);
    totals.two_primary_moments = count_two_primary_moments(history);
    totals.client_errors = workload_.errors();
    totals.connects = workload_.connects().done;
    totals.connects_failed = workload_.connects().failed;
    totals.connects_refused_in_turn = refused_in_turn_;
    totals.unwanted =
        static_cast<std::size_t>(std::ranges::count_if(rounds_, [](const auto& round) { return round.is_unwanted; }));
    totals.rebuilt = cluster_.rebuilt();
    totals.late_writes =
        count_late_writes(workload_.attempts(), executed_at(), cluster_.pgkeels().freezes(), Pgkeels::kLease);
    if (routes_) totals.two_epoch_moments = routes_->moments_with_two();
    if (vip_) totals.two_holder_moments = vip_->moments_with_two();
  }

  [[nodiscard]] const std::vector<RoundResult>& rounds() const { return rounds_; }
  [[nodiscard]] Random& random() { return random_; }

 private:
  Roles cast() {
    const auto standbys = cluster_.standbys();
    Roles roles;
    roles.primary = cluster_.primary();
    roles.standby = standbys[random_() % standbys.size()];
    Pgkeels& pgkeels = cluster_.pgkeels();
    if (!pgkeels.are_several()) return roles;
    // A renewal that came late may just have cost the last one its term.
    const bool are_led = test::wait_until([&] {
      roles.leader = pgkeels.leader();
      roles.etcd_leader = pgkeels.etcd().leader();
      return !roles.leader.empty() && !roles.etcd_leader.empty();
    });
    if (!are_led) throw std::runtime_error("no pgkeel leads, or no etcd");
    std::vector<std::string> followers = pgkeels.names();
    std::erase(followers, roles.leader);
    roles.follower = followers[random_() % followers.size()];
    return roles;
  }

  // Of the rows that are there: when, by our clock, their statements were executed.
  [[nodiscard]] std::unordered_map<std::uint64_t, Instant> executed_at() const {
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(wall_now().time_since_epoch());
    const Instant now = monotonic_now();
    std::unordered_map<std::uint64_t, Instant> times;
    for (const auto& row :
         cluster_.query_primary("SELECT id, (extract(epoch FROM executed_at) * 1000000)::bigint FROM written")) {
      times[std::stoull(row.at(0).value())] = now - (wall - std::chrono::microseconds(std::stoll(row.at(1).value())));
    }
    return times;
  }

  Cluster& cluster_;
  Random random_;
  Workload workload_;
  std::optional<RouteWatch> routes_;
  std::optional<VipWatch> vip_;
  std::vector<RoundResult> rounds_;
  std::size_t refused_in_turn_ = 0;
};

void play_all(Run& run, const Arguments& arguments, bool with_disks) {
  if (arguments.minutes <= 0) {
    const auto steps = arguments.vip           ? short_set_of_the_vip()
                       : arguments.pgkeels > 1 ? short_set_of_several()
                                               : short_set(with_disks, !arguments.without_agents);
    for (const Step& step : steps) run.play(step);
    return;
  }
  const Among among = arguments.pgkeels > 1 ? Among::kSeveral : Among::kOne;
  std::vector<const Fault*> faults;
  for (const Fault& one : all_faults()) {
    const bool wanted = arguments.only.empty() || std::ranges::count(arguments.only, one.kind) > 0;
    const bool possible = (with_disks || !one.needs_disks) && !(arguments.without_agents && one.needs_agents) &&
                          (one.among == Among::kAnyNumber || one.among == among);
    if (wanted && possible) faults.push_back(&one);
  }
  if (faults.empty()) throw std::runtime_error("there is no such fault");
  const Instant end = monotonic_now() + std::chrono::seconds(static_cast<int>(arguments.minutes * 60));
  while (monotonic_now() < end) run.play(random_step(faults, run.random()));
}

int run_chaos(const Arguments& arguments) {
  if (const auto obstacle = Network::obstacle(); !obstacle.empty()) {
    std::cout << "skipped: no network namespaces here: " << obstacle << std::endl;
    return kSkipped;
  }
  std::string disk_obstacle = enter_own_mount_namespace();
  if (disk_obstacle.empty()) disk_obstacle = Disk::obstacle(test::TemporaryFolder().path());
  if (arguments.pgkeels > 1) disk_obstacle = "they are played with one pgkeel";
  if (!disk_obstacle.empty()) std::cout << "without faults of disks: " << disk_obstacle << std::endl;
  std::cout << "seed " << arguments.seed << ", durability " << arguments.durability << ", servers " << arguments.servers
            << (arguments.without_agents ? ", without agents" : "") << ", pgkeels " << arguments.pgkeels
            << (arguments.vip ? " with a virtual IP" : "") << std::endl;

  Cluster::Options options;
  options.with_disks = disk_obstacle.empty();
  options.servers = arguments.servers;
  options.with_agents = !arguments.without_agents;
  options.pgkeels = arguments.pgkeels;
  options.with_vip = arguments.vip;
  if (arguments.durability == "strict") options.durability = Durability::kStrict;
  if (arguments.durability == "async") options.durability = Durability::kAsync;
  Cluster cluster(options);
  // Without a promise, a commit whose wait is cancelled is acknowledged all the same, as PostgreSQL does it.
  Run run(cluster, arguments.seed, options.durability != Durability::kAsync);
  Totals totals;
  totals.seed = arguments.seed;
  totals.durability = arguments.durability;
  totals.servers = arguments.servers;
  totals.with_agents = !arguments.without_agents;
  totals.pgkeels = arguments.pgkeels;
  totals.with_vip = arguments.vip;
  try {
    play_all(run, arguments, options.with_disks);
    run.judge(totals);
    if (!totals.is_good()) std::cout << cluster.describe() << std::endl;
  } catch (const std::exception& error) {
    totals.failure = error.what();
    std::cout << error.what() << "\n" << cluster.describe() << std::endl;
  }
  const std::string json = summary(run.rounds(), totals).dump(2);
  std::cout << json << std::endl;
  if (!arguments.json_file.empty()) std::ofstream(arguments.json_file) << json << "\n";
  return totals.is_good() ? 0 : 1;
}

}  // namespace

int main(int argument_count, char** argument_values) {
  Arguments arguments;
  arguments.seed = std::random_device{}();
  CLI::App app("faults on a real cluster under writers that know what was acknowledged");
  app.add_option("--minutes", arguments.minutes, "random faults for so long; without: a fixed short set");
  app.add_option("--seed", arguments.seed, "of the choice of faults");
  app.add_option("--durability", arguments.durability)->check(CLI::IsMember({"async", "available", "strict"}));
  app.add_option("--servers", arguments.servers)->check(CLI::Range(2, 5));
  app.add_option("--pgkeels", arguments.pgkeels, "several agree through an etcd of three members")
      ->check(CLI::Range(1, 5));
  app.add_flag("--vip", arguments.vip, "several: clients know but the virtual IP");
  app.add_flag("--without-agents", arguments.without_agents, "nodes are known by their addresses only");
  app.add_option("--only", arguments.only, "a kind of fault, as printed; may be given more than once");
  app.add_option("--json", arguments.json_file, "the summary goes there too");
  CLI11_PARSE(app, argument_count, argument_values);
  if (arguments.vip && arguments.pgkeels == 1) {
    std::cerr << "chaos: --vip is for several pgkeels: --pgkeels 2" << std::endl;
    return 2;
  }
  try {
    return run_chaos(arguments);
  } catch (const std::exception& error) {
    std::cerr << "chaos: " << error.what() << std::endl;
    return 1;
  }
}
