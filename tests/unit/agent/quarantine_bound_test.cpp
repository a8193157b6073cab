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

  // An entry whose data directory was moved to there.
  std::string move_aside(const std::string& moved) {
    std::filesystem::copy(server.directory.path(), moved,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
    const auto entry = Quarantine("", server.directory).report_moved(server.divergence, "1", moved);
    REQUIRE(entry);
    say(*entry, "lost", {{"named", true}, {"transactions", 1}});
    return *entry;
  }

  static void say(const std::string& entry, const std::string& member, const nlohmann::json& value) {
    auto report = *read_report(entry);
    report[member] = value;
    std::ofstream(entry + "/report.json") << report;
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
  const auto entry = kept.move_aside(moved);
  Kept::let_pass(entry, hours(3));
  const auto lines = kept.bound(hours(2));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("kept and " + moved +
                      " (the log or tablespaces that it linked to stay), which held 1 committed "
                      "transaction ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(moved));
  CHECK(std::filesystem::exists(entry + "/report.json"));
  CHECK(std::filesystem::exists(kept.server.folder.path() + "/space/PG_15/1"));
}

TEST_CASE("what a rejoin relies on stays, however old it is") {
  Kept kept;
  const auto entry = kept.keep("20261123T081530.123Z");
  Kept::let_pass(entry, hours(3));
  {
    const RemovalLock lock(entry);
    CHECK(lock.is_held());
    const RemovalLock second(entry);
    CHECK_FALSE(second.is_held());
    CHECK(second.is_taken());
    CHECK(second.problem() == "what " + entry + " keeps is being removed, or relied on");
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

TEST_CASE("a removal that was cut off is ended by the next look, wherever the data is, noted or not") {
  Kept kept;
  const auto moved = kept.server.directory.beside(".replaced-1");
  const auto entry = kept.move_aside(moved);
  bool noted = false;
  SUBCASE("noted before anything went") {
    noted = true;
  }
  SUBCASE("on a disk too full to note it") {}
  if (noted) Kept::say(entry, "removed", {{"time", "2026-11-23T08:15:30.123Z"}, {"reason", "it is older than 2h"}});
  std::filesystem::rename(moved, moved + ".pgkeel-removing");
  std::filesystem::remove_all(moved + ".pgkeel-removing/global");
  CHECK_FALSE(Quarantine("", kept.server.directory).keeps(entry));
  CHECK(kept.bound(hours(2)).empty());
  CHECK_FALSE(std::filesystem::exists(moved + ".pgkeel-removing"));
  CHECK(read_quarantine_entry(entry)->removed ==
        (noted ? "it is older than 2h" : "it was over the bounds of the quarantine"));
}

TEST_CASE("the end of a removal that was cut off waits for whoever has the lock, or relies on the entry") {
  Kept kept;
  const auto entry = kept.keep("20261123T081530.123Z");
  Kept::say(entry, "removed", {{"reason", "it is older than 2h"}});
  {
    const RemovalLock lock(entry);
    CHECK(kept.bound(hours(2)).empty());
    CHECK(std::filesystem::exists(entry + "/data/global"));
  }
  const auto marker = RejoinMarker(kept.server.directory).path();
  std::filesystem::create_directory(marker);
  std::ofstream(marker + "/progress.json") << nlohmann::json{{"step", "rewind"}, {"quarantine", entry}};
  CHECK(kept.bound(hours(2)).empty());
  CHECK(std::filesystem::exists(entry + "/data/global"));
  std::filesystem::remove_all(marker);
  CHECK(kept.bound(hours(2)).empty());
  CHECK_FALSE(std::filesystem::exists(entry + "/data"));
}

TEST_CASE("a lock that cannot be taken is not held, and nothing is removed without it") {
  Kept kept;
  const auto entry = kept.keep("20261123T081530.123Z");
  const auto is_not_locked = [](const std::string& folder, const std::string& why) {
    const RemovalLock lock(folder);
    CHECK_FALSE(lock.is_held());
    CHECK_FALSE(lock.is_taken());
    CHECK(lock.problem() == "what " + folder + " keeps cannot be locked: " + why);
  };
  is_not_locked(entry + "-absent", "No such file or directory");
  const auto elsewhere = kept.server.folder.path() + "/elsewhere";
  std::filesystem::rename(entry, elsewhere);
  is_not_locked(elsewhere + "/data", "No such file or directory");  // a folder that is no entry
  std::filesystem::create_directory_symlink(elsewhere, entry);
  is_not_locked(entry, "Not a directory");
  Kept::let_pass(entry, hours(3));
  const auto lines = kept.bound(hours(2));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "what " + entry + " keeps cannot be locked: Not a directory, although it is older than 2h");
  CHECK(std::filesystem::exists(elsewhere + "/data/global/pg_control"));
}

TEST_CASE("a report that was edited removes nothing but what a rejoin moved aside") {
  Kept kept;
  const auto moved = kept.server.directory.beside(".replaced-1");
  const auto entry = kept.move_aside(moved);
  std::filesystem::create_directory(kept.server.folder.path() + "/space/global");
  for (const auto& forged : {moved + "/../space", kept.server.folder.path() + "/space"}) {
    Kept::say(entry, "data", forged);
    Kept::let_pass(entry, hours(3));
    for (const auto& line : kept.bound(hours(2))) CHECK(line.find("/space") == std::string::npos);
    CHECK(std::filesystem::exists(kept.server.folder.path() + "/space/PG_15/1"));
  }
  CHECK(std::filesystem::exists(moved + "/global/pg_control"));
}
