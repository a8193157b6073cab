#include "replication/state/decision_log.h"

#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

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
  record.evidence = {{"a", "dead", "postmaster 12 has ended", 20ms}};
  record.candidates = {{"b", 3, Lsn{0x3000}, true}};
  record.steps = {{"intent", 1ms}, {"route open", 52500us}};
  record.fence = "proven stopped";
  record.bytes_lacking = 128;
  record.clients = {.ended_idle = 1, .ended_in_transaction = 2, .ended_outcome_unknown = 3, .held = 4};
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
  CHECK(json["clients"]["ended_outcome_unknown"] == 3);
  CHECK((*log)->newest("billing", 10).size() == 1);
  CHECK((*log)->keep(failover()) == 3);
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
