#include "replication/agent/quarantine.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <doctest/doctest.h>

#include "replication/agent/copy_progress.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"
#include "tests/unit/agent/fake_data_directory.h"

using namespace pgkeel;
using test::FakeServer;

namespace {

// What is written takes its place on the disk.
void sync_file_system_of(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  syncfs(descriptor);
  close(descriptor);
}

}  // namespace

TEST_CASE("what is set aside is whole, with the WAL and the tablespaces that are elsewhere") {
  const FakeServer server;
  const Quarantine quarantine("", server.directory);
  const auto copied = quarantine.copy(server.divergence, "20261123T081530.123Z");
  REQUIRE_MESSAGE(copied, copied.error().message);
  CHECK(*copied == server.folder.path() + "/pgkeel-quarantine/a-20261123T081530.123Z");
  CHECK(*read_file(*copied + "/data/global/pg_control") == "control");
  CHECK(*read_file(*copied + "/data/pg_wal/000000010000000000000001") == "log");
  CHECK(*read_file(*copied + "/data/pg_tblspc/16384/PG_15/1") == "rows");
  CHECK_FALSE(std::filesystem::is_symlink(*copied + "/data/pg_wal"));
  CHECK_FALSE(std::filesystem::is_symlink(*copied + "/data/pg_tblspc/16384"));
  const auto report = read_file(*copied + "/report.json");
  CHECK(report->find("\"fork\": \"0/64\"") != std::string::npos);
  CHECK(report->find("\"wal_end\": \"0/C8\"") != std::string::npos);
}

TEST_CASE("a copy tells each tenth of its way, once, as far as it is") {
  const test::TemporaryFolder folder;
  constexpr std::size_t kTenth = 64 << 10;
  std::vector<std::string> told;
  CopyProgress progress(folder.path(), 10 * kTenth, [&](const std::string& line) { told.push_back(line); });
  const auto write_tenths = [&](const std::string& file, std::size_t tenths) {
    std::ofstream(folder.path() + "/" + file) << std::string(tenths * kTenth, 'x');
    sync_file_system_of(folder.path());
  };
  progress.look();
  CHECK(told.empty());  // of nothing there is nothing to tell

  write_tenths("one", 3);
  REQUIRE(test::wait_until([&] {
    progress.look();
    return !told.empty();
  }));
  CHECK(told == std::vector<std::string>{"setting aside what it alone has: 30 %"});

  write_tenths("two", 7);
  REQUIRE(test::wait_until([&] {
    progress.look();
    return told.size() == 2;
  }));
  CHECK(told.back() == "setting aside what it alone has: 100 %");
}

TEST_CASE("a divergence that is in quarantine is found again, another is not") {
  FakeServer server;
  const Quarantine quarantine("", server.directory);
  CHECK_FALSE(quarantine.find(server.divergence));
  const auto copied = quarantine.copy(server.divergence, "1");
  REQUIRE(copied);
  CHECK(quarantine.find(server.divergence) == *copied);
  server.divergence.wal_end = Lsn{208};  // it was started again, and wrote
  CHECK_FALSE(quarantine.find(server.divergence));
  server.divergence.wal_end = std::nullopt;
  CHECK_FALSE(quarantine.find(server.divergence));
}

TEST_CASE("a copy that was cut off does not count, and makes room for the next") {
  FakeServer server;
  const Quarantine quarantine("", server.directory);
  const auto first = quarantine.copy(server.divergence, "1");
  std::filesystem::remove(*first + "/report.json");
  CHECK_FALSE(quarantine.find(server.divergence));
  const auto complete = quarantine.report_moved(server.divergence, "2", "/elsewhere");
  REQUIRE(complete);
  server.divergence.node = "a_2";
  const auto neighbour = quarantine.copy(server.divergence, "3");
  std::filesystem::remove(*neighbour + "/report.json");
  server.divergence.node = "a";
  REQUIRE(quarantine.copy(server.divergence, "4"));
  CHECK_FALSE(std::filesystem::exists(*first));
  CHECK(std::filesystem::exists(*complete));
  CHECK(std::filesystem::exists(*neighbour));
}

TEST_CASE("what lies elsewhere counts for the room that a copy needs") {
  const FakeServer server;
  const auto before = disk_bytes_of(server.directory.path());
  server.write("wal/000000010000000000000002", std::string(1 << 20, 'x'));
  server.write("space/PG_15/2", std::string(1 << 20, 'x'));
  CHECK(disk_bytes_of(server.directory.path()) >= before + (2U << 20));
}

TEST_CASE("a copy that fails leaves nothing behind") {
  const FakeServer server;
  std::filesystem::remove_all(server.folder.path() + "/space");  // its link leads nowhere
  const Quarantine quarantine("", server.directory);
  const auto copied = quarantine.copy(server.divergence, "1");
  REQUIRE_FALSE(copied);
  CHECK(copied.error().message.starts_with("cannot set aside what the node alone has: "));
  CHECK(std::filesystem::is_empty(quarantine.folder()));
}
