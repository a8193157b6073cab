#include "replication/decide/situation.h"

#include <doctest/doctest.h>

#include "tests/support/change_facts.h"

using namespace pgkeel;
using pgkeel::test::change_facts;

namespace {

NodeFacts facts_on(Timeline timeline, Lsn position, std::vector<TimelineFork> history = {}) {
  NodeFacts facts;
  facts.system_identifier = "7000";
  facts.timeline = timeline;
  facts.wal_position = position;
  facts.timeline_history = std::move(history);
  facts.timeline_history_known = true;
  return facts;
}

NodeView node(std::string name, NodeFacts facts) {
  NodeView view;
  view.name = std::move(name);
  view.address = {"10.0.0." + std::string(1, static_cast<char>('1' + view.name[0] - 'a')), 5432};
  view.suspicion.liveness = Liveness::kAlive;
  view.facts = std::make_shared<const NodeFacts>(std::move(facts));
  return view;
}

NodeView standby_of(const NodeView& primary, std::string name) {
  NodeFacts facts = facts_on(1, {0x3000});
  facts.in_recovery = true;
  facts.wal_receiver_streaming = true;
  facts.wal_receiver_source = primary.address;
  return node(std::move(name), std::move(facts));
}

}  // namespace

TEST_CASE("a standby is on the history of its primary as far as the primary went on from there") {
  const NodeFacts primary = facts_on(3, {0x9000}, {{1, {0x3000}}, {2, {0x5000}}});
  CHECK(on_history_of(facts_on(3, {0x9000}), primary));
  CHECK_FALSE(on_history_of(facts_on(3, {0x9001}), primary));
  CHECK(on_history_of(facts_on(2, {0x5000}), primary));
  CHECK_FALSE(on_history_of(facts_on(2, {0x5001}), primary));
  CHECK(on_history_of(facts_on(1, {0x3000}), primary));
  CHECK_FALSE(on_history_of(facts_on(1, {0x3001}), primary));
  CHECK_FALSE(on_history_of(facts_on(4, {0x1000}), primary));
}

TEST_CASE("a standby of another cluster, or of a history that cannot be read, is on no history") {
  NodeFacts primary = facts_on(2, {0x9000}, {{1, {0x3000}}});
  NodeFacts stranger = facts_on(2, {0x9000});
  stranger.system_identifier = "8000";
  CHECK_FALSE(on_history_of(stranger, primary));
  primary.timeline_history_known = false;
  CHECK_FALSE(on_history_of(facts_on(1, {0x1000}), primary));
  CHECK_FALSE(fork_of(primary, 1).has_value());
}

TEST_CASE("two timelines of the same number differ where they left the one before at different positions") {
  const NodeFacts one = facts_on(2, {0x4000}, {{1, {0x3000}}});
  NodeFacts other = facts_on(2, {0x5000}, {{1, {0x3800}}});
  CHECK(timelines_differ(one, other));
  CHECK_FALSE(on_history_of(one, other));
  CHECK_FALSE(timelines_differ(one, one));
  other.timeline_history_known = false;
  CHECK_FALSE(timelines_differ(one, other));
}

TEST_CASE("an earlier timeline of a later one's history differs where it left its own at another position") {
  const NodeFacts later = facts_on(3, {0x9000}, {{1, {0x3000}}, {2, {0x8000}}});
  const NodeFacts same = facts_on(2, {0x4000}, {{1, {0x3000}}});
  const NodeFacts twin = facts_on(2, {0x4000}, {{1, {0x3800}}});
  CHECK_FALSE(timelines_differ(same, later));
  CHECK(on_history_of(same, later));
  CHECK(timelines_differ(twin, later));
  CHECK(timelines_differ(later, twin));
  CHECK_FALSE(on_history_of(twin, later));  // although it ends before the fork
  CHECK_FALSE(timelines_differ(facts_on(1, {0x2000}), later));
  CHECK_FALSE(timelines_differ(facts_on(2, {0x4000}, {{1, {0x3800}}}), facts_on(3, {0x9000}, {{1, {0x3000}}})));
}

TEST_CASE("a standby streams from a primary where either says so") {
  NodeView primary = node("a", facts_on(1, {0x3000}));
  NodeView standby = standby_of(primary, "b");
  CHECK(streams_from(standby, primary));

  change_facts(standby, [](NodeFacts& facts) {
    facts.wal_receiver_source = {"db.example.org", 6432};  // by another address
  });
  CHECK_FALSE(streams_from(standby, primary));
  WalSender sender;
  sender.application_name = "b";
  sender.state = "streaming";
  change_facts(primary, [&](NodeFacts& facts) { facts.wal_senders.push_back(sender); });
  CHECK(streams_from(standby, primary));

  change_facts(standby, [](NodeFacts& facts) { facts.wal_receiver_streaming = false; });
  CHECK_FALSE(streams_from(standby, primary));
}

TEST_CASE("names are joined as a sentence joins them") {
  CHECK(join_names({}).empty());
  CHECK(join_names({"a"}) == "a");
  CHECK(join_names({"a", "b"}) == "a and b");
  CHECK(join_names({"a", "b", "c"}) == "a, b and c");
}
