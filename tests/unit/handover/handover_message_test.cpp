#include "proxy/handover/handover_message.h"

#include <fcntl.h>
#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

Descriptor some_descriptor() {
  return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

HandoverMessage session_message() {
  HandoverMessage message;
  message.word = HandoverWord::kSession;
  message.cluster = "orders";
  MovedSession session;
  session.client = Socket::take(some_descriptor().release());
  session.established.emplace();
  session.established->server = Socket::take(some_descriptor().release());
  session.established->target = {"a", {"10.0.0.1", 5432}};
  session.established->epoch = 7;
  session.established->transaction.server_sent('Z', 'T');
  session.established->cancel_key = CancelKey{4711, std::string("\0\xff\1\2", 4)};
  message.session = std::move(session);
  return message;
}

Result<HandoverMessage> read(std::string text, int descriptors = 0) {
  LinkMessage message{.text = std::move(text), .descriptors = {}};
  for (int i = 0; i < descriptors; ++i) message.descriptors.push_back(some_descriptor());
  return read_handover(std::move(message));
}

}  // namespace

TEST_CASE("a session comes along with all that is known of it") {
  const auto message = read_handover(write_handover(session_message()));
  REQUIRE(message);
  CHECK(message->cluster == "orders");
  REQUIRE(message->session);
  REQUIRE(message->session->established);
  const auto& established = *message->session->established;
  CHECK(established.target == RouteTarget{"a", {"10.0.0.1", 5432}});
  CHECK(established.epoch == 7);
  CHECK(established.transaction.outcome() == TransactionOutcome::kRolledBack);
  CHECK(established.cancel_key == CancelKey{4711, std::string("\0\xff\1\2", 4)});
  CHECK(message->session->client.is_open());
  CHECK(established.server.is_open());
}

TEST_CASE("a route of the read-only endpoint comes along with its nodes, and what is wrong with the others") {
  HandoverMessage message;
  message.word = HandoverWord::kOpenRoute;
  message.cluster = "orders/read-only";
  message.route = Route{.epoch = 7,
                        .target = std::nullopt,
                        .mode = RouteMode::kDraining,
                        .reason = "a is the primary",
                        .readers = {{{"a", {"10.0.0.1", 5432}}, true, false}, {{"b", {"/run", 5433}}, false, true}},
                        .why_not = {{"c", "c does not stream"}}};
  const auto received = read_handover(write_handover(std::move(message)));
  REQUIRE(received);
  CHECK(received->cluster == "orders/read-only");
  CHECK(*received->route ==
        Route{.epoch = 7,
              .target = std::nullopt,
              .mode = RouteMode::kDraining,
              .reason = "a is the primary",
              .readers = {{{"a", {"10.0.0.1", 5432}}, true, false}, {{"b", {"/run", 5433}}, false, true}},
              .why_not = {{"c", "c does not stream"}}});
  for (const char* readers :
       {R"({"node":"b"})", R"([{"node":"b","host":"h","port":1,"is_primary":1,"takes_new":true}])",
        R"([{"host":"h","port":1,"is_primary":true,"takes_new":true}])", R"([7])"}) {
    CHECK_FALSE(read(std::string(R"({"word":"open route","cluster":"c","route":{"epoch":1,"mode":0,"readers":)") +
                     readers + "}}"));
  }
}

TEST_CASE("a route comes along, wherever it leads") {
  for (const auto& target : {std::optional<RouteTarget>(), std::optional(RouteTarget{"b", {"/run", 5432}})}) {
    HandoverMessage message;
    message.word = HandoverWord::kRoute;
    message.number = 3;
    message.cluster = "orders";
    message.route = Route{.epoch = 9, .target = target, .mode = RouteMode::kMoving, .reason = "caf\xe9"};
    const auto read = read_handover(write_handover(std::move(message)));
    REQUIRE(read);
    CHECK(read->number == 3);
    CHECK(read->route->epoch == 9);
    CHECK(read->route->target == target);
    CHECK(read->route->mode == RouteMode::kMoving);
  }
}

TEST_CASE("a membership comes along, and deadlines follow") {
  HandoverMessage message;
  message.word = HandoverWord::kMembership;
  message.membership = MovedMembership{.name = "left",
                                       .prefix = "/pgkeel/",
                                       .instance = "abc",
                                       .lease = 7587895204719173633,
                                       .renewed_at = Instant{9007199254740993ns}};
  const auto membership = message.membership;
  const auto read_back = read_handover(write_handover(std::move(message)));
  REQUIRE(read_back);
  CHECK(read_back->membership == membership);
  for (const char* text :
       {R"({"word": "membership"})", R"({"word": "membership", "membership": {}})",
        R"({"word": "membership", "membership": {"name": "a", "instance": "i", "lease": 0, "renewed_at": 1}})",
        R"({"word": "membership", "membership": {"name": "a", "instance": "i", "lease": 1, "renewed_at": -1}})",
        R"({"word": "membership", "membership": {"name": "a", "instance": "i", "lease": 1,
            "renewed_at": 9223372036854775808}})",
        R"({"word": "deadline", "number": 5})", R"({"word": "address leaves"})"}) {
    CAPTURE(text);
    CHECK_FALSE(read(text));
  }
  CHECK(read(R"({"word": "deadline", "cluster": "orders", "number": 5})")->number == 5);
}

TEST_CASE("what is no message, or lacks something, is an error") {
  const std::string whole = write_handover(session_message()).text;
  REQUIRE(read(whole, 2));
  CHECK_FALSE(read(whole, 1));
  CHECK_FALSE(read(whole, 3));
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(read(whole.substr(0, size), 2));
  for (const char* text :
       {"", "null", "[]", "7", R"({"word": 7})", R"({"word": "dance"})", R"({"word": "control"})",
        R"({"word": "route", "cluster": "c"})", R"({"word": "route", "cluster": "c", "route": 7})",
        R"({"word": "route", "cluster": "c", "route": {"epoch": -1, "mode": 0}})",
        R"({"word": "route", "cluster": "c", "route": {"epoch": 1, "mode": 8}})",
        R"({"word": "route", "cluster": "c", "route": {"epoch": 1, "mode": 0, "target": {"node": "a"}}})",
        R"({"word": "stays", "cluster": "c", "stays": {"process_id": 1, "secret": "0g", "node": "a", "epoch": 1}})",
        R"({"word": "stays", "cluster": "c", "stays": {"process_id": -1, "secret": "00", "node": "a", "epoch": 1}})",
        R"({"word": "draining", "draining": [1]})", R"({"word": "draining", "draining": {"c": "many"}})",
        R"({"word": "session", "cluster": "c", "session": {"startup": "0", "encryption_requests": 0}})"}) {
    CAPTURE(text);
    CHECK_FALSE(read(text));
    CHECK_FALSE(read(text, 2));
  }
  CHECK_FALSE(read(R"({"word": "go"})", 1));
  CHECK(read(R"({"word": "go"})"));
}
