// The judge of the chaos runs must be able to say no.
#include "tests/chaos/history.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace pgkeel::chaos;
using namespace std::chrono_literals;

namespace {

Acknowledgement row(std::uint64_t id, const char* taken_by, Duration began, Duration acknowledged) {
  return {.id = id, .round = 1, .taken_by = taken_by, .began = Instant(began), .acknowledged = Instant(acknowledged)};
}

}  // namespace

TEST_CASE("lost rows are acknowledged and absent, ghosts are present and not acknowledged") {
  const History history = {row(1, "a 1", 0s, 1s), row(2, "a 1", 1s, 2s)};
  CHECK(count_lost(history, {1, 2}) == 0);
  CHECK(count_lost(history, {2, 3}) == 1);
  CHECK(count_lost(history, {}) == 2);
  CHECK(count_ghosts(history, {1, 2}) == 0);
  CHECK(count_ghosts(history, {1, 2, 3, 4}) == 2);
}

TEST_CASE("one primary after the other is no moment of two") {
  CHECK(count_two_primary_moments({}) == 0);
  CHECK(count_two_primary_moments({row(1, "a 1", 0s, 1s), row(2, "b 2", 2s, 3s), row(3, "a 3", 4s, 5s)}) == 0);
  // The client was slow to read what a had acknowledged.
  CHECK(count_two_primary_moments({row(1, "a 1", 0s, 1s), row(2, "a 1", 1s, 9s), row(3, "b 2", 2s, 3s)}) == 0);
}

TEST_CASE("a row that an old primary takes when a new one has acknowledged is one") {
  CHECK(count_two_primary_moments({row(1, "a 1", 0s, 1s), row(2, "b 2", 2s, 3s), row(3, "a 1", 4s, 5s)}) == 1);
  // Both were promoted to the same timeline.
  CHECK(count_two_primary_moments({row(1, "b 2", 0s, 1s), row(2, "c 2", 2s, 3s), row(3, "b 2", 4s, 5s),
                                   row(4, "c 2", 5s, 6s), row(5, "b 2", 7s, 8s)}) == 2);
}

TEST_CASE("the longest gap counts from and to the ends of the time that is looked at") {
  const History history = {row(1, "a 1", 0s, 1s), row(2, "a 1", 1s, 2s), row(3, "a 1", 4s, 6s)};
  CHECK(longest_gap(history, Instant(1s), Instant(7s)) == 4s);
  CHECK(longest_gap(history, Instant(1s), Instant(20s)) == 14s);
  CHECK(longest_gap(history, Instant(2s), Instant(5s)) == 3s);
  CHECK(longest_gap({}, Instant(2s), Instant(5s)) == 3s);
}

TEST_CASE("the longest gap of one client may be longer than that of all together") {
  History history = {row(1, "a 1", 0s, 1s), row(2, "a 1", 1s, 2s), row(3, "a 1", 2s, 3s), row(4, "a 1", 3s, 4s)};
  for (auto& each : history) each.client = each.id % 2 == 0 ? 2 : 1;
  CHECK(longest_gap(history, Instant(0s), Instant(5s)) == 1s);
  CHECK(longest_gap_of_one(history, Instant(0s), Instant(5s)) == 2s);
  CHECK(longest_gap_of_one({}, Instant(0s), Instant(5s)) == 0s);
}

TEST_CASE("a write is late that a pgkeel lets through after it stood still for longer than its lease") {
  const std::vector<Attempt> attempts = {{1, "10.0.0.1", Instant(5s)}};
  const std::unordered_map<std::uint64_t, Instant> after = {{1, Instant(11s)}};
  const auto late = [&](const Freeze& freeze, const std::unordered_map<std::uint64_t, Instant>& executed_at) {
    return count_late_writes(attempts, executed_at, {freeze}, 4s);
  };
  CHECK(late({"10.0.0.1", Instant(2s), Instant(10s)}, after) == 1);
  CHECK(late({"10.0.0.1", Instant(2s), Instant(10s)}, {}) == 0);                  // never executed
  CHECK(late({"10.0.0.1", Instant(2s), Instant(10s)}, {{1, Instant(6s)}}) == 0);  // by the server, before that
  CHECK(late({"10.0.0.2", Instant(2s), Instant(10s)}, after) == 0);               // through another one
  CHECK(late({"10.0.0.1", Instant(7s), Instant(10s)}, after) == 0);               // its lease was not over
  CHECK(late({"10.0.0.1", Instant(-5s), Instant(4s)}, after) == 0);               // sent when it was well again
}
