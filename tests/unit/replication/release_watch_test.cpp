#include "replication/execute/release_watch.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

ClusterMemory waiting_for(std::vector<std::string> standbys) {
  ClusterMemory memory;
  memory.phase = Phase::kSteady;
  memory.epoch = 3;
  memory.standby_names = {std::move(standbys), 1};
  if (memory.standby_names.members.empty()) memory.standby_names.acks = 0;
  return memory;
}

const Instant kStart{1h};

}  // namespace

TEST_CASE("each release within ten minutes doubles the rest, up to a minute") {
  ReleaseWatch watch;
  const auto release = [&](Instant when) { watch.memory_changed(waiting_for({"b"}), waiting_for({}), when); };
  release(kStart);
  CHECK(watch.rests().at("b").pause == 0s);
  for (const Duration expected : {2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    release(kStart + 1min);
    CHECK(watch.rests().at("b").pause == expected);
    CHECK(watch.rests().at("b").until == kStart + 1min + expected);
  }
  release(kStart + 12min);
  CHECK(watch.rests().at("b").pause == 0s);
}

TEST_CASE("what an operator or a new primary does to the setting is no release") {
  ReleaseWatch watch;
  ClusterMemory after = waiting_for({});
  after.nodes_maintained["b"] = {};
  watch.memory_changed(waiting_for({"b"}), after, kStart);
  after = waiting_for({});
  after.epoch += 1;
  watch.memory_changed(waiting_for({"b"}), after, kStart);
  after = waiting_for({});
  after.phase = Phase::kStopped;
  watch.memory_changed(waiting_for({"b"}), after, kStart);
  watch.memory_changed(waiting_for({"b"}), waiting_for({"b", "c"}), kStart);
  CHECK(watch.rests().empty());
}
