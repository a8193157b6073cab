#include "replication/execute/rejoin_watch.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

NodeView node_of(const std::string& name, Liveness liveness, bool in_recovery, Timeline timeline = 2) {
  NodeView node;
  node.name = name;
  node.address = {name, 5432};
  node.local = true;
  node.suspicion.liveness = liveness;
  NodeFacts facts;
  facts.in_recovery = in_recovery;
  facts.timeline = timeline;
  node.facts = std::make_shared<const NodeFacts>(facts);
  return node;
}

NodeView dead(std::uint64_t room = kGiB) {
  NodeView node = node_of("a", Liveness::kDead, true);
  node.room = {{"/data", room}, {"/wal", 10 * kGiB}};
  return node;
}

// Which were last seen streaming from b, at `seen`.
NodeView streaming(Instant seen) {
  NodeView node = node_of("a", Liveness::kAlive, true);
  NodeFacts facts = *node.facts;
  facts.wal_receiver_streaming = true;
  facts.wal_receiver_source = {"b", 5432};
  node.facts = std::make_shared<const NodeFacts>(facts);
  node.facts_at = seen;
  return node;
}

// `a` beside its primary `b`, each look later than the one before.
struct Watched {
  Watched() { CHECK_FALSE(begins_anew(dead(), 0s)); }

  bool begins_anew(const NodeView& node, Duration later = 1s) {
    now += later;
    return watch.saw({node, primary}, "b", now).contains("a");
  }
  void fails() {
    watch.started("a");
    watch.ended("a", now);
  }

  RejoinWatch watch;
  NodeView primary = node_of("b", Liveness::kAlive, false);
  Instant now{1h};
};

}  // namespace

TEST_CASE("what stays as it is begins nothing anew, nor does what fails") {
  Watched a;
  a.fails();
  CHECK_FALSE(a.begins_anew(dead(), 10h));
}

TEST_CASE("a node that streams begins anew, but not by what was seen before the attempt ended, nor while one runs") {
  Watched a;
  a.watch.started("a");
  CHECK_FALSE(a.begins_anew(streaming(a.now + 1s)));
  a.watch.ended("a", a.now);
  CHECK_FALSE(a.begins_anew(streaming(a.now)));
  CHECK_FALSE(a.begins_anew(node_of("a", Liveness::kAlive, true)));  // a success that does not stream
  CHECK(a.begins_anew(streaming(a.now + 1s)));
}

TEST_CASE("an order and a reload begin anew, once, also while an attempt runs") {
  Watched a;
  a.watch.started("a");
  a.watch.ordered("a");
  CHECK(a.begins_anew(dead()));
  CHECK_FALSE(a.begins_anew(dead()));
  a.watch.reconfigured();
  CHECK(a.begins_anew(dead()));
  CHECK_FALSE(a.begins_anew(dead()));
}

TEST_CASE(
    "room on any disk is compared with the most that an attempt began with: what a copy takes and gives back is none") {
  Watched a;
  CHECK_FALSE(a.begins_anew(dead(10 * kGiB)));
  a.watch.started("a");
  CHECK_FALSE(a.begins_anew(dead(0)));
  a.watch.ended("a", a.now);
  CHECK_FALSE(a.begins_anew(dead(1 * kGiB)));
  a.fails();
  CHECK_FALSE(a.begins_anew(dead(12 * kGiB)));
  CHECK(a.begins_anew(dead(13 * kGiB)));
  CHECK_FALSE(a.begins_anew(dead(13 * kGiB)));
  NodeView more_for_wal = dead(13 * kGiB);
  more_for_wal.room["/wal"] = 20 * kGiB;
  CHECK(a.begins_anew(more_for_wal));
}

TEST_CASE("room that somebody makes while an attempt runs counts when that has ended") {
  Watched a;
  a.watch.started("a");
  CHECK_FALSE(a.begins_anew(dead(5 * kGiB)));
  a.watch.ended("a", a.now);
  CHECK(a.begins_anew(dead(6 * kGiB)));
  CHECK_FALSE(a.begins_anew(dead(6 * kGiB)));
}

TEST_CASE("an agent counts that was away for minutes and is back for minutes, once; one that blips does not") {
  Watched a;
  NodeView away = dead();
  away.local = false;
  for (int blip = 0; blip < 3; ++blip) {
    CHECK_FALSE(a.begins_anew(away));
    CHECK_FALSE(a.begins_anew(dead(), 10s));
    CHECK_FALSE(a.begins_anew(dead(), 1h));
  }
  CHECK_FALSE(a.begins_anew(away));
  CHECK_FALSE(a.begins_anew(dead(), kAwayForLong));
  CHECK_FALSE(a.begins_anew(away));
  CHECK_FALSE(a.begins_anew(dead()));
  CHECK_FALSE(a.begins_anew(dead(), kAwayForLong - 1s));
  CHECK(a.begins_anew(dead()));
  CHECK_FALSE(a.begins_anew(dead(), 1h));
}

TEST_CASE("a primary that was away for minutes and is back for minutes begins all anew; a new one does not") {
  Watched a;
  a.primary.suspicion.liveness = Liveness::kSilent;
  CHECK_FALSE(a.begins_anew(dead()));
  a.primary.suspicion.liveness = Liveness::kAlive;
  CHECK_FALSE(a.begins_anew(dead(), kAwayForLong));
  CHECK(a.begins_anew(dead(), kAwayForLong));
  CHECK_FALSE(a.begins_anew(dead(), 1h));
}

TEST_CASE(
    "a server that somebody starts again and again begins nothing anew, however long it stays; another history does") {
  Watched a;
  const auto parted = [](Timeline timeline) { return node_of("a", Liveness::kAlive, true, timeline); };
  CHECK_FALSE(a.begins_anew(parted(1)));
  for (int times = 0; times < 3; ++times) {
    a.fails();  // which stops it
    CHECK_FALSE(a.begins_anew(dead()));
    CHECK_FALSE(a.begins_anew(parted(1)));
    CHECK_FALSE(a.begins_anew(parted(1), 10h));
  }
  CHECK_FALSE(a.begins_anew(dead()));
  CHECK_FALSE(a.begins_anew(parted(2)));
  CHECK(a.begins_anew(parted(2), kAwayForLong));
  CHECK_FALSE(a.begins_anew(parted(2), 1h));
}
