#include "replication/state/decision_log.h"

#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "replication/state/decision_text.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

DecisionRecord failover(const std::string& cluster = "orders") {
  DecisionRecord record;
  record.cluster = cluster;
  record.outcome = "done";
  record.epoch = 4;
  record.from = "a";
  record.to = "b";
  record.reason = "a failed: broken \xff bytes";
  record.began = WallTime(1'700'000'000'103ms);
  record.decided = WallTime(1'700'000'000'123ms);
  record.ordered_by = "127.0.0.1:4242";
  record.evidence = {{"a", "dead", "postmaster 12 has ended", record.began}};
  record.candidates = {{"b", 3, Lsn{0x3000}, true}};
  record.steps = {{"intent", 1ms}, {"route open", 52500us}};
  record.fence = "proven stopped";
  record.wal = {.bytes_lacking = 128,
                .as_of = record.began,
                .proven_lossless = true,
                .old_primary_had_more = true,
                .lost_report = "a-1",
                .lost_transactions = 7,
                .lost_bytes = 4096};
  record.clients = {
      .ended_idle = 1, .ended_in_transaction = 2, .ended_busy = 3, .ended_in_commit = 4, .held = 5, .released = 6};
  record.beside_rows = DecisionRecord::BesideRows{.prepared_transactions = 2,
                                                  .physical_slots = {"barman"},
                                                  .physical_slots_anew = {"new"},
                                                  .logical_slots = {"seventeen"},
                                                  .left = {"logical slot changes is not on b"}};
  return record;
}

}  // namespace

TEST_CASE("a record is there after a restart, and a later line of it takes its place") {
  const TemporaryFolder folder;
  {
    auto log = DecisionLog::open(folder.path());
    REQUIRE(log);
    DecisionRecord record = failover();
    record.id = (*log)->keep(record);
    CHECK(record.id == 1);
    (*log)->keep(failover("billing"));
    record.steps.push_back({"redundant again", 2s});
    CHECK((*log)->keep(record) == 1);
  }
  auto log = DecisionLog::open(folder.path());
  REQUIRE(log);
  const auto records = (*log)->newest("orders", 10);
  REQUIRE(records.size() == 1);
  const Json json = Json::parse(records[0]);
  CHECK(json["kind"] == "failover");
  CHECK(json["steps"].size() == 3);
  CHECK(json["steps"][1]["after_ms"] == 52.5);
  CHECK(json["wal"]["bytes_lacking"] == 128);
  CHECK(json["candidates"][0]["wal_position"] == "0/3000");
  CHECK(json["steps"][1]["took_ms"] == 51.5);
  CHECK(json["evidence"][0]["since"] == "2023-11-14T22:13:20.103Z");
  CHECK(json["evidence"][0]["since_ms"] == 20);
  CHECK(json["clients"]["ended_in_commit"] == 4);
  CHECK((*log)->newest("billing", 10).size() == 1);
  CHECK((*log)->keep(failover()) == 3);
}

TEST_CASE("a record reads back as it was written") {
  DecisionRecord record = failover();
  record.reason = "a failed";
  record.id = 9;
  for (const auto kind :
       {DecisionRecord::Kind::kFailover, DecisionRecord::Kind::kRefusedFailover, DecisionRecord::Kind::kRejoin}) {
    record.kind = kind;
    const auto read = read_decision(decision_json(record));
    REQUIRE(read);
    CHECK(decision_json(*read) == decision_json(record));
    CHECK(read->began == record.began);
    CHECK(read->steps.at(1).after == record.steps.at(1).after);
  }
  for (const char* text : {"", "null", "[]", "{", "{}", R"({"kind":"failover"})", R"({"kind":7})", "\xff"}) {
    CAPTURE(text);
    CHECK_FALSE(read_decision(text));
  }
}

TEST_CASE("what is under way, and the newest failover that is not redundant again, are found after a restart") {
  const TemporaryFolder folder;
  auto log = DecisionLog::open(folder.path());
  REQUIRE(log);
  CHECK((*log)->unfinished("orders").empty());
  (*log)->keep(failover());  // done, and then nobody saw it redundant
  CHECK((*log)->unfinished("orders").size() == 1);
  CHECK((*log)->unfinished("billing").empty());
  DecisionRecord newer = failover();
  newer.steps.push_back({kLastStep, 2s});
  (*log)->keep(newer);
  CHECK((*log)->unfinished("orders").empty());
  DecisionRecord rejoin = failover();
  rejoin.kind = DecisionRecord::Kind::kRejoin;
  rejoin.outcome = "under way";
  rejoin.id = (*log)->keep(rejoin);
  REQUIRE((*log)->unfinished("orders").size() == 1);
  CHECK((*log)->unfinished("orders")[0].id == rejoin.id);
  rejoin.outcome = "failed";
  (*log)->keep(rejoin);
  CHECK((*log)->unfinished("orders").empty());
}

TEST_CASE("damaged and torn lines are passed over, and cost no other") {
  const TemporaryFolder folder;
  {
    auto log = DecisionLog::open(folder.path());
    (*log)->keep(failover());
  }
  std::ofstream(folder.path() + "/decisions.log", std::ios::app) << "00000000 {\"id\": 9}\nnonsense\n\ntorn {";
  auto log = DecisionLog::open(folder.path());
  REQUIRE(log);
  CHECK((*log)->newest("orders", 10).size() == 1);
  CHECK((*log)->keep(failover()) == 2);
  auto again = DecisionLog::open(folder.path());
  CHECK((*again)->newest("orders", 10).size() == 2);
}

TEST_CASE("the newest records are kept in memory, and the file does not grow for ever") {
  const TemporaryFolder folder;
  auto log = DecisionLog::open(folder.path());
  DecisionRecord record = failover();
  record.reason = std::string(20'000, 'x');
  for (std::size_t i = 0; i < DecisionLog::kRecordsInMemory + 10; ++i) (*log)->keep(record);
  CHECK((*log)->newest("orders", 10'000).size() == DecisionLog::kRecordsInMemory);
  CHECK(Json::parse((*log)->newest("orders", 1).front())["id"] == DecisionLog::kRecordsInMemory + 10);
  CHECK(std::ifstream(folder.path() + "/decisions.log", std::ios::ate).tellg() <
        static_cast<std::streamoff>(DecisionLog::kFileBytesMax + 50'000));
  CHECK(std::ifstream(folder.path() + "/decisions.log.1").good());
}
