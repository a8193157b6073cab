// What is removed from a quarantine, by the files of its entries.
#include "replication/agent/quarantine_bound.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "proxy/io/clock.h"
#include "replication/agent/quarantine_age.h"
#include "replication/agent/quarantine_care.h"
#include "replication/agent/rejoin_marker.h"
#include "tests/unit/agent/fake_data_directory.h"

using namespace pgkeel;
using namespace pgkeel::test;
using std::chrono::hours;

namespace {

struct Kept {
  // An entry with a copy, whose report says what was lost; its folder.
  std::string keep(const std::string& stamp) {
    const auto copied = Quarantine("", server.directory).copy(server.divergence, stamp);
    REQUIRE_MESSAGE(copied, copied.error().message);
    auto report = *read_report(*copied);
    report["lost"] = {{"named", true}, {"transactions", 2}, {"transactions_file", "transactions.jsonl"}};
    std::ofstream(*copied + "/report.json") << report;
    std::ofstream(*copied + "/transactions.jsonl") << "{}\n{}\n";
    return *copied;
  }

  // As if that had passed since the last look.
  static void let_pass(const std::string& entry, Duration time) {
    const auto seconds = [](Duration span) { return std::chrono::duration_cast<std::chrono::seconds>(span).count(); };
    std::ofstream(entry + "/" + kQuarantineAgeFile) << nlohmann::json{
        {"boot", *this_boot()}, {"seconds_since_boot", seconds(since_boot())}, {"seconds", seconds(time)}};
  }

  [[nodiscard]] std::vector<std::string> bound(Duration max_age) const {
    return bound_quarantine(server.directory.settings(), {.max_age = max_age, .max_bytes = 0});
  }

  static std::set<std::string> files_in(const std::string& folder) {
    std::set<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(folder)) names.insert(file.path().filename());
    return names;
  }

  FakeServer server;
};

}  // namespace

TEST_CASE("a wall clock that jumps far ahead, or back, removes nothing") {
  Kept kept;
  const auto past = kept.keep("20010101T000000.000Z");    // the clock says now that this was 25 years ago
  const auto future = kept.keep("20990101T000000.000Z");  // and that this is not yet
  CHECK(kept.bound(hours(1)).empty());
  CHECK(kept.bound(hours(1)).empty());
  for (const auto& entry : {past, future}) CHECK(std::filesystem::exists(entry + "/data/global/pg_control"));
}

TEST_CASE("of an entry that is too old its report and the list of its transactions stay") {
  Kept kept;
  const auto entry = kept.keep("20261123T081530.123Z");
  REQUIRE(note_announced(entry));
  Kept::let_pass(entry, hours(3));
  const auto lines = kept.bound(hours(2));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "removed what " + entry +
                        " kept, which held 2 committed transactions (0 bytes of WAL): it is older "
                        "than 2h; its report stays");
  CHECK(Kept::files_in(entry) ==
        std::set<std::string>{"report.json", "transactions.jsonl", "data_directory", "age.json", "announced"});
  const auto read = read_quarantine_entry(entry);
  REQUIRE(read);
  CHECK(read->removed == "it is older than 2h");
  CHECK(read->transactions == 2);
  CHECK(read_lost_transactions(entry)->size() == 2);
  CHECK(kept.bound(hours(2)).empty());  // and that is told once

  // What a removal that was cut off left goes at the next look; the same divergence is copied anew.
  std::filesystem::create_directories(entry + "/data/base");
  CHECK(kept.bound(hours(2)).empty());
  CHECK_FALSE(std::filesystem::exists(entry + "/data"));
  CHECK_FALSE(Quarantine("", kept.server.directory).find(kept.server.divergence));
}

TEST_CASE("a directory that was moved aside goes with its entry, and what it links to stays") {
  Kept kept;
  const auto moved = kept.server.directory.beside(".replaced-1");
  std::filesystem::copy(kept.server.directory.path(), moved,
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  const auto entry = Quarantine("", kept.server.directory).report_moved(kept.server.divergence, "1", moved);
  REQUIRE(entry);
  auto report = *read_report(*entry);
  report["lost"] = {{"named", true}, {"transactions", 1}};
  std::ofstream(*entry + "/report.json") << report;
  Kept::let_pass(*entry, hours(3));
  const auto lines = kept.bound(hours(2));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("kept and " + moved +
                      " (the log or tablespaces that it linked to stay), which held 1 committed "
                      "transaction ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(moved));
  CHECK(std::filesystem::exists(*entry + "/report.json"));
  CHECK(std::filesystem::exists(kept.server.folder.path() + "/space/PG_15/1"));
}

TEST_CASE("what a rejoin relies on stays, however old it is") {
  Kept kept;
  const auto entry = kept.keep("20261123T081530.123Z");
  Kept::let_pass(entry, hours(3));
  {
    const RemovalLock lock(entry);
    CHECK_FALSE(lock.is_taken());
    CHECK(RemovalLock(entry).is_taken());
    CHECK(kept.bound(hours(2)).empty());
  }
  const auto marker = RejoinMarker(kept.server.directory).path();
  std::filesystem::create_directory(marker);
  std::ofstream(marker + "/progress.json") << nlohmann::json{{"step", "rewind"}, {"quarantine", entry}};
  CHECK(kept.bound(hours(2)).empty());
  std::ofstream(marker + "/progress.json", std::ios::trunc) << "{";  // in doubt
  CHECK(kept.bound(hours(2)).empty());
  std::filesystem::remove_all(marker);
  CHECK(kept.bound(hours(2)).size() == 1);
}
