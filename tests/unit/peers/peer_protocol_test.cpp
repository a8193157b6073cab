#include "replication/peers/peer_protocol.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/fuzz/fuzz.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

Promise promise() {
  Promise promise;
  promise.from = "left";
  promise.holds = true;
  promise.roster = {.version = 7, .members = {"left", "right"}};
  promise.routes["orders"] = {
      .serial = 3, .epoch = 2, .node = "a", .mode = RouteMode::kDraining, .reason = "why \"not\""};
  promise.routes["stock"] = {.serial = 1, .epoch = 1, .node = "", .mode = RouteMode::kTornDown, .reason = ""};
  return promise;
}

bool operator==(const Promise& left, const Promise& right) {
  return left.from == right.from && left.holds == right.holds && left.roster == right.roster &&
         left.routes == right.routes;
}

PeerView view() {
  return {.name = "left",
          .version = "0.1.0",
          .settings = {{"cluster.orders.durability", "\"strict\""}},
          .nodes = {{"orders", {{"a", {"alive", true, 250ms}}, {"b", {"silent", false, 7s}}}}},
          .obstacles = {{"orders", "no order gets to b"}},
          .is_ending = true};
}

}  // namespace

TEST_CASE("what is written is read back") {
  const PromiseRequest request{
      .from = "left", .instance = "7f", .applied = {{"orders", 3}, {"stock", 18'446'744'073'709'551'615U}}};
  const auto asked = parse_promise_request(to_json(request));
  REQUIRE(asked);
  CHECK(asked->from == request.from);
  CHECK(asked->instance == request.instance);
  CHECK(asked->applied == request.applied);

  const auto given = parse_promise(to_json(promise()));
  REQUIRE(given);
  CHECK(*given == promise());

  const auto seen = parse_peer_view(to_json(view()));
  REQUIRE(seen);
  CHECK(*seen == view());

  const PeerCancel cancel{"orders", 4'294'967'295U, std::string("\0\xff\x7f\"", 4)};
  const auto cancelled = parse_peer_cancel(to_json(cancel));
  REQUIRE(cancelled);
  CHECK(*cancelled == cancel);

  CHECK(parse_cancel_answer(cancel_answer_json(true)));
  CHECK_FALSE(parse_cancel_answer(cancel_answer_json(false)));
}

TEST_CASE("the view of an earlier version tells of no obstacles, nor that it is ending") {
  const auto seen = parse_peer_view(R"({"name":"left","version":"0.1","settings":{},"clusters":{}})");
  REQUIRE(seen);
  CHECK(seen->obstacles.empty());
  CHECK_FALSE(seen->is_ending);
}

TEST_CASE("what a promise must say is missing or odd: it is none") {
  for (
      const char* text :
      {"", "{", "[]", "7", "{}", R"({"from":"a","holds":true})",
       R"({"from":"a","holds":true,"roster":{"version":-1,"members":[]},"routes":{}})",
       R"({"from":"a","holds":true,"roster":{"version":1,"members":[7]},"routes":{}})",
       R"({"from":"a","holds":true,"roster":{"version":1,"members":{}},"routes":{}})",
       R"({"from":"a","holds":true,"roster":{"version":1,"members":[]},"routes":[]})",
       R"({"from":"","holds":true,"roster":{"version":1,"members":[]},"routes":{}})",
       R"({"from":"a","holds":true,"roster":{"version":1,"members":[]},"routes":{"o":{"serial":1,"epoch":1,"node":"a","mode":"new"}}})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_promise(text));
  }
  const auto least = parse_promise(R"({"from":"a","roster":{"version":1,"members":[]},"routes":{}})");
  REQUIRE(least);
  CHECK_FALSE(least->holds);
}

TEST_CASE("a cancel request has a cluster, a process id and a secret of a length that can be") {
  for (const char* text :
       {"", "{}", R"({"cluster":"o","process_id":1})", R"({"cluster":"o","process_id":1,"secret":""})",
        R"({"cluster":"o","process_id":1,"secret":"abc"})", R"({"cluster":"o","process_id":1,"secret":"zz"})",
        R"({"cluster":"o","process_id":-1,"secret":"ab"})", R"({"cluster":"o","process_id":4294967296,"secret":"ab"})",
        R"({"cluster":"","process_id":1,"secret":"ab"})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_peer_cancel(text));
  }
  CHECK_FALSE(parse_peer_cancel(to_json(PeerCancel{"o", 1, std::string(257, 'x')})));
}

TEST_CASE("whatever a peer sends, it is read or refused") {
  for_seeds(2'000, [](std::uint64_t seed) {
    Random random(seed);
    const std::string texts[] = {to_json(PromiseRequest{"left", "7f", {{"orders", 3}}}), to_json(promise()),
                                 to_json(view()), to_json(PeerCancel{"orders", 7, "secret"})};
    std::string text = random.one_of(texts);
    random.damage(text);
    static_cast<void>(parse_promise_request(text));
    static_cast<void>(parse_promise(text));
    static_cast<void>(parse_peer_view(text));
    static_cast<void>(parse_peer_cancel(text));
    static_cast<void>(parse_cancel_answer(text));
  });
}
