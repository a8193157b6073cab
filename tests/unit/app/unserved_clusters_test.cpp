#include "proxy/app/unserved_clusters.h"

#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/app/fake_coordination.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

struct Member {
  void serve(const std::set<std::string>& names) {
    served = names;
    unserved.review(served);
  }

  FakeCoordination coordination;
  std::set<std::string> served;
  std::vector<std::function<void()>> followed;
  UnservedClusters unserved{coordination, [this](std::function<void()> act) { followed.push_back(std::move(act)); }};
};

}  // namespace

TEST_CASE("routes of clusters that are not served here are acknowledged, each once, and no others") {
  Member member;
  member.coordination.open_route(4, 2, "a");
  member.coordination.cluster = "stock";
  member.coordination.open_route(7, 3, "x");
  member.coordination.cluster = "@vip";
  member.coordination.open_route(1, 1, "two");
  member.serve({"orders"});
  CHECK(member.coordination.applied == std::map<std::string, std::uint64_t>{{"stock", 7}});
  member.coordination.applied.clear();
  member.serve({"orders"});
  CHECK(member.coordination.applied.empty());
  member.coordination.cluster = "stock";
  member.coordination.open_route(8, 3, "x", RouteMode::kDraining);
  member.serve({"orders"});
  CHECK(member.coordination.applied == std::map<std::string, std::uint64_t>{{"stock", 8}});
  CHECK(member.coordination.drained == std::map<std::string, std::uint64_t>{{"stock", 8}});
}

TEST_CASE("a cluster that is served no more is acknowledged when its sessions have ended") {
  Member member;
  member.coordination.open_route(4, 2, "a");
  member.serve({"orders"});
  member.serve({});
  member.serve({});
  CHECK(member.coordination.applied.empty());
  REQUIRE(member.followed.size() == 1);
  member.followed[0]();
  CHECK(member.coordination.applied == std::map<std::string, std::uint64_t>{{"orders", 4}});
}

TEST_CASE("a cluster that comes back before its sessions have ended is acknowledged by its workers") {
  Member member;
  member.coordination.open_route(4, 2, "a");
  member.serve({"orders"});
  member.serve({});
  member.serve({"orders"});
  REQUIRE(member.followed.size() == 1);
  member.followed[0]();
  CHECK(member.coordination.applied.empty());
}
