#include "replication/execute/change_watch.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;
const Instant kStart{1h};

NodeView dead_node(std::optional<std::uint64_t> room) {
  NodeView node;
  node.name = "a";
  node.local = true;
  node.room = room;
  node.suspicion.liveness = Liveness::kDead;
  return node;
}

}  // namespace

TEST_CASE("what is seen first, and what stays as it is, is no change") {
  ChangeWatch watch;
  watch.saw({dead_node(kGiB)}, kStart);
  watch.saw({dead_node(kGiB)}, kStart + 1s);
  CHECK(watch.changes().empty());
}

TEST_CASE("a server or a host that comes back is a change; that it goes away is none") {
  ChangeWatch watch;
  NodeView node = dead_node(std::nullopt);
  watch.saw({node}, kStart);
  NodeView away = node;
  away.local = false;
  watch.saw({away}, kStart + 1s);
  CHECK(watch.changes().empty());
  watch.saw({node}, kStart + 2s);
  CHECK(watch.changes().at("a") == kStart + 2s);
  NodeView alive = node;
  alive.suspicion.liveness = Liveness::kAlive;
  alive.facts = std::make_shared<const NodeFacts>();
  watch.saw({alive}, kStart + 3s);
  CHECK(watch.changes().at("a") == kStart + 3s);
  watch.saw({node}, kStart + 4s);
  CHECK(watch.changes().at("a") == kStart + 3s);
}

TEST_CASE("room is compared with what there was when a rejoin was started: what it took and gave back is no more") {
  ChangeWatch watch;
  watch.saw({dead_node(10 * kGiB)}, kStart);
  watch.rejoin_started("a");
  watch.saw({dead_node(0)}, kStart + 1s);
  watch.saw({dead_node(10 * kGiB)}, kStart + 2s);
  watch.saw({dead_node(12 * kGiB)}, kStart + 3s);
  CHECK(watch.changes().empty());
  watch.saw({dead_node(13 * kGiB)}, kStart + 4s);
  CHECK(watch.changes().at("a") == kStart + 4s);
  watch.saw({dead_node(13 * kGiB)}, kStart + 5s);
  CHECK(watch.changes().at("a") == kStart + 4s);
}

TEST_CASE("a configuration that was reloaded is a change of each node; one that is not configured any more has none") {
  ChangeWatch watch;
  watch.saw({dead_node(std::nullopt)}, kStart);
  watch.reconfigured();
  watch.saw({dead_node(std::nullopt)}, kStart + 1s);
  CHECK(watch.changes().at("a") == kStart + 1s);
  watch.saw({}, kStart + 2s);
  CHECK(watch.changes().empty());
}
