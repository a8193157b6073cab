#include "replication/coordination/succession.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const Instant kNow{1h};

SuccessionView two_clusters(bool orders, bool stock) {
  SuccessionView view;
  view.own = {{"orders", orders}, {"stock", stock}};
  return view;
}

}  // namespace

TEST_CASE("a leader that hears every primary stays, whatever others hear") {
  SuccessionView view = two_clusters(true, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  view.others["three"] = {};
  const Succession stays = decide_succession(view, kNow);
  CHECK(stays.heir.empty());
  CHECK(stays.why_not.empty());
}

TEST_CASE("one that does not hear a primary which another hears hands over to that one") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  CHECK(decide_succession(view, kNow).heir == "two");
  CHECK(decide_succession(view, kNow).cluster == "orders");
}

TEST_CASE("nobody else hears it either: the leader stays, and decides as if it were alone") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", false}, {"stock", true}};
  view.others["three"] = {};
  const Succession stays = decide_succession(view, kNow);
  CHECK(stays.heir.empty());
  CHECK(stays.why_not.empty());
}

TEST_CASE("whoever hears less than the leader in another cluster does not follow it") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", true}};
  CHECK(decide_succession(view, kNow).heir.empty());
  CHECK(decide_succession(view, kNow).why_not ==
        "pgkeel two hears from the primary of orders, but not from that of stock, which this one hears");
  // Another one that hears all is found behind it.
  view.others["zwei"] = {{"orders", true}, {"stock", true}};
  CHECK(decide_succession(view, kNow).heir == "zwei");
  CHECK(decide_succession(view, kNow).why_not.empty());
}

TEST_CASE("the one that hears most follows") {
  SuccessionView view = two_clusters(false, false);
  view.others["two"] = {{"orders", true}};
  view.others["three"] = {{"orders", true}, {"stock", true}};
  view.others["zwei"] = {{"stock", true}};
  CHECK(decide_succession(view, kNow).heir == "three");
}

TEST_CASE("nothing is handed over while something is under way") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  view.under_way["stock"] = "cluster stock: a switchover is under way";
  CHECK(decide_succession(view, kNow).heir.empty());
  CHECK(decide_succession(view, kNow).why_not.find("a switchover is under way") != std::string::npos);
}

TEST_CASE("paths that come and go do not pass the leadership to and fro") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  view.handed_over_at = kNow;
  const Succession waits = decide_succession(view, kNow + 10s);
  CHECK(waits.heir.empty());
  CHECK(waits.why_not == "it was handed over to this one less than 60s ago");
  CHECK(waits.again_at == kNow + kHandOverPause);
  CHECK(decide_succession(view, waits.again_at).heir == "two");
}

TEST_CASE("one that says that it cannot decide does not follow a leader that hears less") {
  SuccessionView view = two_clusters(false, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  view.unable["two"] = "pgkeel two says that it cannot decide for orders: …";
  CHECK(decide_succession(view, kNow).heir.empty());
  CHECK(decide_succession(view, kNow).why_not == view.unable["two"]);
}

TEST_CASE("one that cannot decide hands over to the first that can, and hears all that it hears itself") {
  SuccessionView view = two_clusters(true, true);
  view.others["four"] = view.others["three"] = view.others["two"] = {{"orders", true}, {"stock", true}};
  CHECK(decide_succession_of_unable(view).heir.empty());  // it can
  view.obstacles["stock"] = {"no order gets to b", "b"};
  view.others["five"] = {{"orders", true}};
  view.unable["four"] = "pgkeel four says that it cannot decide for stock: …";
  view.out_of_reach["three"] = "pgkeel three does not hear from b of stock";
  const Succession succession = decide_succession_of_unable(view);
  CHECK(succession.heir == "two");
  CHECK(succession.cluster == "stock");
  CHECK(succession.why_not.empty());

  view.others.erase("two");
  const Succession stays = decide_succession_of_unable(view);
  CHECK(stays.heir.empty());
  CHECK(stays.why_not ==
        "pgkeel five does not hear from the primary of stock, which this one hears; pgkeel four says that it cannot "
        "decide for stock: …; pgkeel three does not hear from b of stock");
  view.others.clear();
  CHECK(decide_succession_of_unable(view).why_not == "no other pgkeel answers");
}

TEST_CASE("what is under way keeps a leader only in clusters for which it can decide") {
  SuccessionView view = two_clusters(true, true);
  view.others["two"] = {{"orders", true}, {"stock", true}};
  view.obstacles["stock"] = {"its state cannot be stored", ""};
  view.under_way["stock"] = "cluster stock: its route is on the move";
  CHECK(decide_succession_of_unable(view).heir == "two");
  view.under_way["orders"] = "cluster orders: a switchover is under way";
  CHECK(decide_succession_of_unable(view).heir.empty());
  CHECK(decide_succession_of_unable(view).why_not ==
        "something is under way: cluster orders: a switchover is under way");
}
