#include "replication/sync/sync_planner.h"

#include <bit>
#include <set>

#include <doctest/doctest.h>

#include "replication/sync/standby_names.h"

using namespace pgkeel;

namespace {

const std::vector<std::string> kStandbys = {"b", "c", "d"};

std::vector<std::string> subset(unsigned bits) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kStandbys.size(); ++i) {
    if ((bits >> i & 1U) != 0) names.push_back(kStandbys[i]);
  }
  return names;
}

constexpr unsigned kSubsets = 1U << 3;

// Every set of standbys that can acknowledge a commit under `names` overlaps every set from which a primary can be
// elected: the definition, by trying all of them.
bool overlaps(const SyncQuorum& names, const SyncQuorum& promise) {
  if (promise.empty()) return true;
  if (names.empty()) return false;  // a commit waits for nobody
  for (unsigned acknowledge = 0; acknowledge < kSubsets; ++acknowledge) {
    const auto acknowledging = subset(acknowledge);
    if (acknowledging.size() != names.acks ||
        !std::ranges::all_of(acknowledging, [&](const auto& name) { return names.contains(name); }))
      continue;
    for (unsigned elect = 0; elect < kSubsets; ++elect) {
      const auto electing = subset(elect);
      if (electing.size() != positions_needed(promise) ||
          !std::ranges::all_of(electing, [&](const auto& name) { return promise.contains(name); }))
        continue;
      if ((acknowledge & elect) == 0) return false;
    }
  }
  return true;
}

// … also while each walsender has read any of these: it counts all that take themselves for synchronous.
bool overlap_while_read(const std::vector<SyncQuorum>& readings, const SyncQuorum& promise) {
  std::set<std::string> counted;
  for (const auto& reading : readings) counted.insert(reading.members.begin(), reading.members.end());
  return std::ranges::all_of(readings, [&](const SyncQuorum& releasing) {
    const SyncQuorum acted_by{{counted.begin(), counted.end()}, releasing.acks};
    return overlaps(releasing.empty() ? SyncQuorum{} : acted_by, promise);
  });
}

std::vector<SyncQuorum> all_quorums() {
  std::vector<SyncQuorum> all = {{}};
  for (unsigned members = 1; members < kSubsets; ++members) {
    for (std::uint32_t acks = 1; acks <= static_cast<std::uint32_t>(std::popcount(members)); ++acks)
      all.push_back({subset(members), acks});
  }
  return all;
}

}  // namespace

TEST_CASE("the arithmetic of keeps_promise is what trying all sets says") {
  for (const auto& names : all_quorums()) {
    for (const auto& promise : all_quorums()) {
      CAPTURE(standby_names_text(names));
      CAPTURE(standby_names_text(promise));
      CHECK(keeps_promise(names, promise) == overlaps(names, promise));
    }
  }
}

TEST_CASE(
    "every step from every state to every goal keeps the invariant, wherever it is interrupted, and the goal is "
    "reached") {
  for (const auto& names : all_quorums()) {
    for (const auto& promise : all_quorums()) {
      if (!overlaps(names, promise)) continue;
      for (unsigned members = 0; members < kSubsets; ++members) {
        const SyncQuorum goal = quorum_of(subset(members));
        CAPTURE(standby_names_text(names));
        CAPTURE(standby_names_text(promise));
        CAPTURE(standby_names_text(goal));
        SyncState state{.promise = promise, .standby_names = names, .in_force = names};
        // By which of them each process acts: pgkeel can be killed before or after it sets what it has ordered, and
        // walsenders read it one after the other.
        std::vector<SyncQuorum> readings = {names};
        for (int steps = 0; state.promise != goal || state.standby_names != goal; ++steps) {
          REQUIRE(steps < 5);
          SyncState next = next_step(state, goal);
          if (next == state) {  // waits for what was ordered to be in force, and its members to have caught up
            state.settled = true;
            readings = {state.standby_names};
            state.in_force = state.standby_names;
            continue;
          }
          // A promise is only ever strengthened where everything before it is known to be on all members.
          if (!implies(state.promise, next.promise)) CHECK((state.settled && next.promise == state.standby_names));
          if (next.standby_names != state.standby_names) readings.push_back(next.standby_names);
          CHECK(overlap_while_read(readings, next.promise));
          state = next;
        }
      }
    }
  }
}

TEST_CASE("the goal is that a majority of the nodes has every commit") {
  CHECK(quorum_of({}) == SyncQuorum{});
  CHECK(quorum_of({"b"}) == SyncQuorum{{"b"}, 1});
  CHECK(quorum_of({"c", "b"}) == SyncQuorum{{"b", "c"}, 1});
  CHECK(quorum_of({"b", "c", "d"}) == SyncQuorum{{"b", "c", "d"}, 2});
  CHECK(quorum_of({"b", "c", "d", "e"}).acks == 2);
}

TEST_CASE("an impostor's acknowledgement may be the one that counted") {
  const auto with_one = [](const SyncQuorum& names) {
    SyncState state{.promise = names, .standby_names = names, .in_force = names, .impostors = 1, .settled = false};
    return next_step(state, names).promise;
  };
  CHECK(with_one({{"b"}, 1}).empty());
  CHECK(with_one({{"b", "c"}, 1}).empty());
  CHECK(with_one({{"b", "c", "d"}, 2}) == SyncQuorum{{"b", "c", "d"}, 1});
  const SyncQuorum all{{"b", "c", "d"}, 2};
  SyncState state{.promise = all, .standby_names = all, .in_force = all, .impostors = 1, .settled = false};
  const SyncQuorum goal = quorum_of({"b", "c"});  // as long as a walsender counts for it by the old setting
  for (int steps = 0; steps < 3; ++steps) state = next_step(state, goal);
  CHECK(state.standby_names == goal);
  CHECK(state.promise.empty());
}

TEST_CASE("a member whose files are worked on may have been one of those that hold a commit") {
  CHECK(promise_without({{"b", "c"}, 1}, "c").empty());
  CHECK(promise_without({{"b", "c", "d"}, 2}, "c") == SyncQuorum{{"b", "d"}, 1});
  CHECK(promise_without({{"b", "c"}, 1}, "x") == SyncQuorum{{"b", "c"}, 1});
}

TEST_CASE("the text of synchronous_standby_names, and what others wrote there") {
  for (const auto& quorum : all_quorums()) {
    CHECK(parse_standby_names(standby_names_text(quorum)) == quorum);
    CHECK(parse_standby_names(standby_names_text_by_priority(quorum)) == quorum);
  }
  CHECK(standby_names_text_by_priority({{"b", "c"}, 2}) == "FIRST 2 (\"pgkeel: nobody\", \"b\", \"c\")");
  CHECK(standby_names_text({{"any", "b"}, 1}) == "ANY 1 (\"any\", \"b\")");
  for (const char* text : {"b", "*", "ANY 1 (b, c)", "FIRST 1 (\"b\")", "ANY 2 (\"b\")extra", "ANY x (\"b\")",
                           "ANY 1 (\"b", "ANY 1 ()", "ANY 99999999999999999999 (\"b\")", "\"", "ANY "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_standby_names(text).has_value());
  }
}
