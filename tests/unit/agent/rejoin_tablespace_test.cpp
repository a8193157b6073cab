// Rebuilds of servers with a tablespace and a log elsewhere, that fail, are killed, or have no room.
#include <filesystem>
#include <fstream>
#include <set>

#include "proxy/io/os_user.h"
#include "tests/unit/agent/rejoin_fixture.h"
#include "tests/unit/agent/small_disk.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A primary with a tablespace in `<disk>/space`, and a node `c` that is empty.
struct SpaciousPrimary {
  SpaciousPrimary(const TemporaryFolder& folder, const std::string& disk, int rows)
      : a(PostgresServer::primary(folder, "a")), settings(a->local()) {
    const auto space = disk + "/space";
    std::filesystem::create_directory(space);
    const auto user = find_os_user(server_user()).value();
    if (chown(space.c_str(), user.uid, user.gid) != 0) throw std::runtime_error("chown " + space);
    a->query("CREATE TABLESPACE fast LOCATION '" + space + "'");
    a->query("CREATE TABLE kept (x int) TABLESPACE fast");
    a->query("INSERT INTO kept SELECT generate_series(1, " + std::to_string(rows) + ")");
    ServerPair::prepare_upstream(*a, "c");
    settings.data_directory = folder.path() + "/c";
  }

  [[nodiscard]] LocalServer c(const std::string& programs = bin_directory()) const {
    auto with = settings;
    with.bin_directory = programs;
    return {"c", {"127.0.0.1", port}, with};
  }
  [[nodiscard]] UpstreamServer upstream() const { return ServerPair::upstream(*a); }

  std::unique_ptr<PostgresServer> a;
  LocalServerConfig settings;
  std::uint16_t port = free_port();
};

// But for the sockets of servers.
std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with(".s.PGSQL.")) names.insert(entry.path().filename());
  }
  return names;
}

void nobody(const std::string&) {}

}  // namespace

TEST_CASE(
    "a base backup that fails, or is killed, leaves no tablespace and no log behind, and nothing else is removed") {
  const TemporaryFolder folder;
  const SpaciousPrimary primary(folder, folder.path(), 1000);
  const auto filled = primary.c().rejoin(primary.upstream(), nobody);
  REQUIRE_MESSAGE(filled, filled.error().message);
  REQUIRE(primary.a->wait_caught_up("c"));
  REQUIRE(primary.c().stop(StopMode::kFast, 20s));
  const auto data = primary.settings.data_directory;
  std::filesystem::rename(data + "/pg_wal", folder.path() + "/log");
  std::filesystem::create_directory_symlink(folder.path() + "/log", data + "/pg_wal");
  std::filesystem::create_directory(folder.path() + "/space.pgkeel-mine");  // a folder of somebody else
  std::ofstream(folder.path() + "/space.pgkeel-mine/file") << "text";
  const std::string reached = folder.path() + "/reached";
  // Puts something into each folder that it is given.
  const std::string fills =
      "for word in \"$@\"; do\n"
      "  case \"$word\" in /*=/*) touch \"${word#*=}/half\";; esac\n"
      "  case \"$before\" in --pgdata|--waldir) touch \"$word/half\";; esac\n"
      "  before=$word\n"
      "done\n";
  const auto failing = programs_with(folder, "pg_basebackup", fills + "exit 1");
  const auto before = names_in(folder.path());

  const auto failed = primary.c(failing).rejoin(primary.upstream(), nobody, {.rebuild = true});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("pg_basebackup failed with status 1") != std::string::npos);
  const auto marker = "c.pgkeel-rejoin";  // copies of its configuration
  auto after = names_in(folder.path());
  CHECK(after.erase(marker) == 1);
  CHECK(after == before);

  const auto hanging = programs_with(folder, "pg_basebackup", fills + "touch " + reached + "; exec sleep 600");
  rejoin_and_kill(primary.c(hanging), primary.upstream(), reached, {.rebuild = true});
  after = names_in(folder.path());
  for (const auto& known : before) after.erase(known);
  // What it copies to, the note of that, and what this test was told.
  CHECK(after.size() == 6);
  CHECK(after.contains("c.pgkeel-places"));

  const auto report = primary.c().rejoin(primary.upstream(), nobody, {.rebuild = true});
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  after = names_in(folder.path());
  CHECK(std::filesystem::exists(folder.path() + "/space.pgkeel-mine/file"));
  CHECK(std::filesystem::exists(report->moved_aside + "/pg_tblspc"));
  for (const auto& known : before) CHECK_MESSAGE(after.erase(known) == 1, known);
  after.erase("reached");
  // The old directory, and the new one's tablespace and log.
  CHECK(after.size() == 3);
  for (const auto& name : after) CHECK_FALSE(std::filesystem::exists(folder.path() + "/" + name + "/half"));
  const auto kept_space = std::filesystem::directory_iterator(report->moved_aside + "/pg_tblspc")->path();
  CHECK_FALSE(std::filesystem::is_empty(kept_space));
  REQUIRE(primary.a->wait_caught_up("c"));
  SqlConnection c("host=127.0.0.1 port=" + std::to_string(primary.port) + " user=postgres dbname=postgres");
  CHECK(c.value("SELECT count(*) || ' ' || sum(x) FROM kept") == "1000 500500");
  CHECK(primary.c().fence(20s));
}

TEST_CASE("no room for a tablespace: that is said, as early as its size is known, and with room it succeeds") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const SpaciousPrimary primary(folder, disk.path(), 200'000);
  const auto full = primary.c().rejoin(primary.upstream(), nobody);  // the upstream does not tell how large it is
  REQUIRE_FALSE(full);
  CHECK(full.error().message.find("No space left on device") != std::string::npos);
  CHECK(names_in(disk.path()) == std::set<std::string>{"space"});

  primary.a->query("GRANT pg_read_all_stats TO pgkeel_repl");
  std::string said;
  const auto refused = primary.c().rejoin(primary.upstream(), [&](const std::string& line) { said += line + "\n"; });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.starts_with("no room for a new data directory: it takes "));
  CHECK(refused.error().message.find(" MB, and in " + disk.path() + " there is room for ") != std::string::npos);
  CHECK(refused.error().message.ends_with("; make room and rejoin again"));
  CHECK(said.find("copying") == std::string::npos);
  CHECK(names_in(disk.path()) == std::set<std::string>{"space"});

  REQUIRE(disk.enlarge());
  const auto report = primary.c().rejoin(primary.upstream(), nobody);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(names_in(disk.path()).size() == 2);
  REQUIRE(primary.a->wait_caught_up("c"));
  SqlConnection c("host=127.0.0.1 port=" + std::to_string(primary.port) + " user=postgres dbname=postgres");
  CHECK(c.value("SELECT count(*) FROM kept") == "200000");
  REQUIRE(primary.c().fence(20s));

  said.clear();
  REQUIRE(primary.c().rejoin(primary.upstream(), [&](const std::string& line) { said += line + "\n"; },
                             {.rebuild = true, .discard_old_data = true}));
  CHECK(said.find("its old data directory is removed, as ordered; what it linked to stays: " + disk.path() +
                  "/space.pgkeel-") != std::string::npos);
  CHECK(names_in(disk.path()).size() == 3);
  CHECK(primary.c().fence(20s));
}
