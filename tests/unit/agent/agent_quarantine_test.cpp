// What an agent keeps of its server's quarantine, as agent.toml bounds it.
#include <chrono>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/quarantine_age.h"
#include "replication/agent/quarantine_entry.h"
#include "tests/support/wait_until.h"
#include "tests/unit/agent/agent_of_a.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// "20261123T081530.123Z", so long ago
std::string stamp_of(Duration ago) {
  const std::string text = format_wall_time(wall_now() - ago);  // 2026-11-23T08:15:30.123Z
  std::string stamp;
  for (const char c : text) {
    if (c != '-' && c != ':') stamp += c;
  }
  return stamp;
}

struct KeptServer {
  TemporaryFolder folder;
  std::unique_ptr<PostgresServer> a = PostgresServer::primary(folder, "a");
  Certificates certificates{folder};

  // An entry of so many MiB, which was seen to be so old; its folder.
  std::string keep(Duration age, std::size_t mebibytes) {
    const std::string stamp = stamp_of(age);
    const std::string entry = folder.path() + "/quarantine/a-" + stamp;
    std::filesystem::create_directories(entry + "/export");
    std::ofstream(entry + "/" + kQuarantineSourceFile) << a->data_directory();
    std::ofstream(entry + "/report.json") << nlohmann::json{
        {"node", "a"},
        {"time", stamp},
        {"lost",
         {{"named", true}, {"transactions", 3}, {"wal_bytes", 4096}, {"transactions_file", "transactions.jsonl"}}}};
    std::ofstream(entry + "/transactions.jsonl") << "{}\n";
    std::ofstream(entry + "/export/summary.json") << "{}";
    std::ofstream(entry + "/export/rows.csv") << std::string(mebibytes << 20U, 'x');
    note_age_of(entry, age);
    return entry;
  }

  static void note_age_of(const std::string& entry, Duration age) {
    const auto seconds = [](Duration time) { return std::chrono::duration_cast<std::chrono::seconds>(time).count(); };
    std::ofstream(entry + "/" + kQuarantineAgeFile) << nlohmann::json{
        {"boot", *this_boot()}, {"seconds_since_boot", seconds(since_boot())}, {"seconds", seconds(age)}};
  }

  // What the agent tells once `entry` is gone.
  static std::vector<std::string> told_of_removal(const AgentProcess& agent, const std::string& entry) {
    std::vector<std::string> texts;
    HttpsClient http(agent.peer());
    const bool told = wait_until([&] {
      const auto answer = http.get("/agent/v1/watch?instance=none&after=0&wait_ms=0&heard=0", kCallLimit);
      if (!answer) return false;
      const auto report = parse_agent_report(answer->body);
      if (!report) return false;
      texts.clear();
      for (const auto& notice : report->notices) texts.push_back(notice.text);
      return !texts.empty() && texts.back().find(entry) != std::string::npos;
    });
    CHECK(told);
    return texts;
  }
};

}  // namespace

TEST_CASE("an agent bounds its quarantine by age and by size, the oldest first, never the newest by size, and tells") {
  KeptServer kept;
  const auto old = kept.keep(72h, 1);
  const auto first = kept.keep(3h, 3);
  const auto second = kept.keep(2h, 3);
  const auto newest = kept.keep(1h, 9);
  {
    AgentProcess agent(kept.folder, *kept.a, kept.certificates,
                       {"[quarantine]", "max_age = \"2d\"", "max_bytes = 13631488"});  // 13 MiB
    agent.start();
    const auto texts = KeptServer::told_of_removal(agent, first);
    REQUIRE(texts.size() == 2);
    CHECK(texts[0].ends_with("quarantine: removed what " + old +
                             " kept, which held 3 committed transactions (4096 bytes "
                             "of WAL): it is older than 2d; its report stays"));
    CHECK(texts[1].find("removed what " + first + " kept, which held 3 committed transactions") != std::string::npos);
    CHECK(texts[1].find("more than 13631488") != std::string::npos);
  }
  for (const auto& removed : {old, first}) {
    CHECK_FALSE(std::filesystem::exists(removed + "/export"));
    CHECK(read_file(removed + "/transactions.jsonl").value() == "{}\n");
  }
  const auto entry = read_quarantine_entry(old);
  REQUIRE(entry);
  CHECK(entry->removed == "it is older than 2d");
  CHECK(entry->transactions == 3);
  CHECK_FALSE(entry->has_export);
  CHECK(std::filesystem::exists(second + "/export/rows.csv"));
  CHECK(std::filesystem::exists(newest + "/export/rows.csv"));

  AgentProcess agent(kept.folder, *kept.a, kept.certificates, {"[quarantine]", "max_bytes = 1048576"});
  agent.start();
  KeptServer::told_of_removal(agent, second);
  CHECK_FALSE(std::filesystem::exists(second + "/export"));
  CHECK(std::filesystem::exists(newest + "/export/rows.csv"));
}
