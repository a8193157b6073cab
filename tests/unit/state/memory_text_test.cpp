#include "replication/state/memory_text.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

ClusterMemory full_memory() {
  ClusterMemory memory;
  memory.phase = Phase::kPromoting;
  memory.epoch = 7;
  memory.primary = "a";
  memory.candidate = "b";
  memory.abandoned_candidate = "c";
  memory.reason = "a failed: \"refused\"\nand more";
  memory.system_identifier = "7300000000000000001";
  memory.timeline = 4;
  memory.automatic_failovers = {WallTime(1'700'000'000'123ms), WallTime(1'700'000'600'000ms)};
  memory.nodes["a"].old_primary = true;
  memory.nodes["b"].old_primary = false;
  memory.promise = {{"b", "c"}, 1};
  memory.standby_names = {{"c"}, 1};
  memory.standby_names_in_force = {{"b", "c"}, 1};
  memory.standby_names_order = 12;
  memory.nodes["a"].superseded = true;
  memory.kept_slots = {{"a", "barman"}, {"b", "barman"}};
  memory.logical_slots = {.primary = "a", .slots = {{"changes", "app", "pgoutput"}}};
  memory.left_slots = {{.slot = {"stream", "app", "test_decoding"},
                        .old_primary = "c",
                        .confirmed_flush = Lsn{0x3000},
                        .is_other = true,
                        .since = WallTime(1'700'000'000'000ms)}};
  memory.maintenance = Maintenance{WallTime(1'700'000'100'000ms), "127.0.0.1:4243"};
  memory.nodes_maintained["c"] = {WallTime(1'700'000'200'000ms), "127.0.0.1:4244"};
  memory.switched_back = WallTime(1'700'000'300'000ms);
  memory.orders_given = 2;
  memory.orders.push_back({.id = 1,
                           .kind = OrderKind::kRejoin,
                           .node = "b",
                           .accept_loss = false,
                           .rebuild = true,
                           .discard_old_data = true,
                           .on = true,
                           .given_by = "127.0.0.1:4242",
                           .given_at = WallTime(1'700'000'000'000ms),
                           .state = OrderState::kFailed,
                           .message = "no space left",
                           .primary_before = "a",
                           .carried_out = false,
                           .objection = ""});
  memory.orders.push_back(memory.orders.front());
  memory.orders.back().id = 2;
  memory.orders.back().kind = OrderKind::kFailover;
  memory.orders.back().accept_loss = true;
  memory.orders.back().state = OrderState::kRunning;
  memory.orders.back().carried_out = true;
  return memory;
}

}  // namespace

TEST_CASE("a memory reads back as it was written") {
  const auto read = read_memory("orders", write_memory("orders", full_memory()));
  REQUIRE(read);
  CHECK(*read == full_memory());
}

TEST_CASE("a memory of the format before promises is read, and promises nothing") {
  ClusterMemory before = full_memory();
  before.promise = before.standby_names = before.standby_names_in_force = {};
  before.standby_names_order = 0;
  std::string body = write_memory("orders", before).substr(9);
  body.replace(body.find("\"format\": 3"), 11, "\"format\": 1");
  for (const char* key : {"promise", "standby_names", "standby_names_in_force", "standby_names_order"}) {
    const auto found = body.find("\"" + std::string(key) + "\"");
    REQUIRE(found != std::string::npos);
    body.replace(found + 1, 1, "x");  // not known there
  }
  const auto read = read_memory("orders", checksum_of(body) + "\n" + body);
  REQUIRE(read);
  CHECK(*read == before);
}

TEST_CASE("a pgkeel that knows of no maintenance does not read past one, and reads what holds none") {
  ClusterMemory memory = full_memory();
  CHECK(write_memory("orders", memory).find("\"format\": 3") != std::string::npos);
  memory.maintenance.reset();
  CHECK(write_memory("orders", memory).find("\"format\": 3") != std::string::npos);
  memory.nodes_maintained.clear();
  CHECK(write_memory("orders", memory).find("\"format\": 2") != std::string::npos);
  const auto read = read_memory("orders", write_memory("orders", memory));
  REQUIRE(read);
  CHECK(*read == memory);
}

TEST_CASE("a promise that no planner makes is damage") {
  ClusterMemory memory = full_memory();
  for (const SyncQuorum& wrong : {SyncQuorum{{"c", "b"}, 1}, SyncQuorum{{"b", "b"}, 1}, SyncQuorum{{"b"}, 2},
                                  SyncQuorum{{"b"}, 0}, SyncQuorum{{}, 1}}) {
    memory.promise = wrong;
    CHECK_FALSE(read_memory("orders", write_memory("orders", memory)));
  }
}

TEST_CASE("a message that is no UTF-8 does not keep the memory from being stored") {
  ClusterMemory memory = full_memory();
  memory.reason = "broken \xff\xfe bytes";
  CHECK(read_memory("orders", write_memory("orders", memory)));
}

TEST_CASE("a memory of another cluster is refused") {
  const auto read = read_memory("billing", write_memory("orders", full_memory()));
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("orders") != std::string::npos);
}

TEST_CASE("every torn or changed state file is refused") {
  const std::string good = write_memory("orders", full_memory());
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(read_memory("orders", good.substr(0, length)));
  }
  for (std::size_t position = 0; position < good.size(); ++position) {
    std::string changed = good;
    changed[position] = static_cast<char>(changed[position] ^ 1);
    CAPTURE(position);
    CHECK_FALSE(read_memory("orders", changed));
  }
}

TEST_CASE("a file that is well checksummed but lacks something is refused with its name") {
  const std::string body = "{\"format\": 1, \"cluster\": \"orders\"}\n";
  const auto read = read_memory("orders", checksum_of(body) + "\n" + body);
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("phase") != std::string::npos);
}

TEST_CASE("a format of the future is refused") {
  const std::string body = "{\"format\": 4}\n";
  const auto read = read_memory("orders", checksum_of(body) + "\n" + body);
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("format 4") != std::string::npos);
}
