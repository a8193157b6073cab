#include "proxy/wire/frame.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

namespace {

// Feeds pieces as a relay does: what is not passable is put in front of the next piece.
struct Walk {
  BoundaryTracker tracker{MessageSender::kServer};
  std::string kept;
  std::string passed;
  std::string types;
  char stop_at = '\0';
  std::size_t kept_most = 0;
  bool violation = false;

  void feed(std::string_view piece) {
    std::string bytes = kept + std::string(piece);
    const auto advance =
        tracker.advance(std::as_writable_bytes(std::span(bytes)), [&](char type, std::span<std::byte> message) {
          types += type;
          CHECK(static_cast<char>(message[0]) == type);
          return type != stop_at;
        });
    passed += bytes.substr(0, advance.passable);
    kept = bytes.substr(advance.passable);
    kept_most = std::max(kept_most, kept.size());
    violation = violation || advance.violation;
  }
};

}  // namespace

TEST_CASE("messages are seen once and passed on whole, wherever the stream is cut") {
  const std::string stream =
      query("select 1") + sync_message() + data_row(std::string(300, 'x')) + ready_for_query('I');
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    Walk walk;
    walk.feed(stream.substr(0, first));
    CHECK(walk.tracker.at_boundary());
    walk.feed(stream.substr(first));
    CHECK(walk.types == "QSDZ");
    CHECK(walk.passed == stream);
    CHECK(walk.tracker.at_boundary());
  }
}

TEST_CASE("a stream that comes byte by byte is passed on whole") {
  const std::string big = data_row(std::string(kWholeMessageBytes, 'b'));
  const std::string stream = query("select 1") + big + ready_for_query('T');
  Walk walk;
  for (const char byte : stream) {
    walk.feed(std::string(1, byte));
    const bool between_messages = split_messages(walk.passed).empty() || split_messages(walk.passed).back().type != '?';
    REQUIRE(walk.tracker.at_boundary() == between_messages);
  }
  CHECK(walk.types == "QDZ");
  CHECK(walk.passed == stream);
  CHECK(walk.kept_most < kWholeMessageBytes);
}

TEST_CASE("a message of the greatest size that is kept whole does not leave a boundary") {
  const std::string limit = data_row(std::string(kWholeMessageBytes - 5 - 2 - 4, 'x'));
  REQUIRE(limit.size() == kWholeMessageBytes);
  Walk walk;
  walk.feed(limit.substr(0, limit.size() - 1));
  CHECK(walk.passed.empty());
  CHECK(walk.tracker.at_boundary());
  walk.feed(limit.substr(limit.size() - 1));
  CHECK(walk.passed == limit);
}

TEST_CASE("a bigger message is passed on as it comes, and there is no boundary until its end") {
  const std::string big = data_row(std::string(kWholeMessageBytes - 5 - 2 - 4 + 1, 'x'));
  Walk walk;
  walk.feed(big.substr(0, 100));
  CHECK(walk.passed.size() == 100);
  CHECK_FALSE(walk.tracker.at_boundary());
  walk.feed(big.substr(100));
  CHECK(walk.passed == big);
  CHECK(walk.tracker.at_boundary());
  CHECK(walk.types == "D");
}

TEST_CASE("an error is kept whole up to its own limit, a client's Execute only as far as other messages") {
  const std::string between = message('E', std::string(kWholeMessageBytes, 'x'));
  Walk server;
  server.feed(between.substr(0, 100));
  CHECK(server.passed.empty());
  CHECK(server.tracker.at_boundary());
  Walk client;
  client.tracker = BoundaryTracker(MessageSender::kClient);
  client.feed(between.substr(0, 100));
  CHECK(client.passed.size() == 100);
  CHECK_FALSE(client.tracker.at_boundary());

  Walk too_big;
  too_big.feed(message('E', std::string(kWholeErrorBytes, 'x')).substr(0, 100));
  CHECK(too_big.passed.size() == 100);
}

TEST_CASE("a length below four or above PostgreSQL's limit is a violation, right behind what is passable") {
  for (const std::uint32_t length : {0U, 3U, 0x40000000U, 0x7fffffffU, 0xffffffffU}) {
    CAPTURE(length);
    Walk walk;
    walk.feed(sync_message() + "Q" + int32_bytes(length) + "xxxx");
    CHECK(walk.violation);
    CHECK(walk.passed == sync_message());
    CHECK(walk.tracker.at_boundary());
  }
  Walk walk;
  walk.feed("Q" + int32_bytes(kMessageLengthMax));
  CHECK_FALSE(walk.violation);
}

TEST_CASE("a message without a body is four bytes long") {
  Walk walk;
  walk.feed(sync_message() + sync_message());
  CHECK(walk.types == "SS");
}

TEST_CASE("behind a message at which the visitor stops nothing is passable") {
  for (const std::string& next :
       {ready_for_query('I'), data_row(std::string(100'000, 'x')), std::string("X\0\0\0\1", 5)}) {
    Walk walk;
    walk.stop_at = 'N';
    const std::string until_there = command_complete("COMMIT") + report('N', "WARNING", "01000", "stop");
    walk.feed(until_there + next);
    CHECK(walk.passed == until_there);
    CHECK(walk.types == "CN");
    CHECK(walk.tracker.at_boundary());
    CHECK_FALSE(walk.violation);
  }
}
