// What a diverged primary alone had, where there is room for no copy: all of it is written out, or nothing is done.
#include <csignal>
#include <filesystem>
#include <set>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/io/child_process.h"
#include "proxy/io/os_user.h"
#include "replication/agent/data_directory.h"
#include "tests/unit/agent/lost_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A small file system of its own, with room for about eight tenths of what is moved into it.
class TightFolder {
 public:
  TightFolder(const TemporaryFolder& folder, const std::string& data_directory) : path_(folder.path() + "/tight") {
    std::filesystem::create_directory(path_);
    const auto bytes = disk_bytes_of(data_directory);
    mounted_ = mount("none", path_.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes * 18 / 10)).c_str()) == 0;
    if (!mounted_) return;
    const auto user = find_os_user(server_user()).value();
    if (chown(path_.c_str(), user.uid, user.gid) != 0) throw std::runtime_error("chown " + path_);
    const auto moved = run_checked({.arguments = {"cp", "-a", "--", data_directory, path_ + "/a"}, .limit = 60s});
    if (!moved) throw std::runtime_error(moved.error().message);
  }
  ~TightFolder() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  TightFolder(const TightFolder&) = delete;
  TightFolder& operator=(const TightFolder&) = delete;

  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] std::string data_directory() const { return path_ + "/a"; }

 private:
  std::string path_;
  bool mounted_ = false;
};

// With checksums, so that a page that was changed behind the server's back and left so is found.
void enable_checksums(ServerPair& pair) {
  for (auto* server : {pair.b.get(), pair.a.get()}) server->stop();
  for (const auto* server : {pair.a.get(), pair.b.get()}) {
    const auto local = server->local();
    const auto enabled = DataDirectory(local).run("pg_checksums", {"--enable", "-D", local.data_directory}, 60s);
    if (!enabled) throw std::runtime_error(enabled.error().message);
  }
  for (auto* server : {pair.a.get(), pair.b.get()}) server->start();
}

}  // namespace

TEST_CASE("without room for a copy or a new directory all rows are written out before the rewind, or nothing is done") {
  Isolated isolated({.settings = {"max_prepared_transactions = 5"}});
  enable_checksums(isolated.pair);
  isolated.pair.a->query("CREATE DATABASE closed");
  Isolated::each_statement(*isolated.pair.a, kCommon);
  SqlConnection began_before(isolated.pair.a->conninfo());  // pg_rewind does not look at the pages that it wrote
  began_before.query("BEGIN; DELETE FROM keyed WHERE id = 7");
  isolated.pair.a->query("CHECKPOINT");
  isolated.run("", [&](PostgresServer& a) {
    began_before.query("COMMIT");
    a.query("INSERT INTO keyed VALUES (100, 'new')");
    a.query("DELETE FROM keyed WHERE id IN (3, 4)");
    a.query("UPDATE keyed SET v = 'changed' WHERE id = 1");
    a.query("SELECT lo_put(5001, 1, 'XY'); SELECT lo_unlink(5002)");
    a.query("SELECT lo_from_bytea(6001, convert_to(repeat('keel ', 300000), 'UTF8')), lo_from_bytea(6002, 'brief')");
    a.query("SELECT lo_create(6003); SELECT lo_unlink(6002)");
    SqlConnection sql(a.conninfo("postgres", "closed"));
    sql.query("CREATE TABLE there (id int); INSERT INTO there VALUES (1)");
    sql.query("BEGIN; LOCK TABLE there; INSERT INTO there VALUES (2); PREPARE TRANSACTION 'left'");
    a.query("ALTER DATABASE closed ALLOW_CONNECTIONS false");
  });
  const TightFolder tight(isolated.pair.folder, isolated.pair.a->data_directory());
  if (!tight.mounted()) {
    MESSAGE("skipped: no file system may be mounted here");
    return;
  }
  auto settings = isolated.pair.a->local();
  settings.data_directory = tight.data_directory();
  const LocalServer server("a", {"127.0.0.1", isolated.pair.a->port()}, settings);
  const auto upstream = ServerPair::upstream(*isolated.pair.b);
  // Killed when the deleted rows look alive already.
  const pid_t child = fork();
  if (child == 0) {
    (void)server.rejoin(upstream, [](const std::string& line) {
      if (line.starts_with("writing ")) kill(getpid(), SIGKILL);
    });
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  CHECK(wait_until([&] { return server.look().nothing_runs(); }));
  CHECK_FALSE(server.start(20s));  // not with these rows

  const auto refused = isolated.pair.rejoin(server, upstream);
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().message.find("so that nothing is rewound: transaction ") != std::string::npos);
  CHECK(refused.error().message.find("1 rows for ") != std::string::npos);
  CHECK(refused.error().message.find("a prepared transaction holds the table's lock") != std::string::npos);
  const auto check_pages = [&] {
    const auto checked = DataDirectory(settings).run("pg_checksums", {"--check", "-D", settings.data_directory}, 60s);
    CHECK_MESSAGE(checked, checked.error().message);
  };
  check_pages();
  // It is as it was: somebody mends it, as the message says.
  REQUIRE(server.start(20s));
  CHECK(isolated.pair.a->value("SELECT count(*) FROM keyed WHERE id IN (3, 4, 7, 100)") == "1");
  isolated.pair.a->query("ALTER DATABASE closed ALLOW_CONNECTIONS true");
  SqlConnection(isolated.pair.a->conninfo("postgres", "closed")).query("ROLLBACK PREPARED 'left'");
  isolated.pair.a->query("ALTER DATABASE closed ALLOW_CONNECTIONS false");
  isolated.pair.a->query("INSERT INTO keyed VALUES (101, 'meanwhile')");
  REQUIRE(server.stop(StopMode::kFast, 20s));

  const auto report = isolated.pair.rejoin(server, upstream);
  INFO(isolated.pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  const auto entries = read_quarantine(quarantine_folder_of(settings), settings.data_directory);
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].has_export);
  CHECK(entries[0].transactions >= 10);
  CHECK(entries[0].named);
  const auto rows = report->quarantine + "/export/postgres/public.keyed.";
  CHECK(rows_in(rows + "inserted.csv") == Lines{"100,new", "101,meanwhile"});
  CHECK(rows_in(rows + "updated.csv") == Lines{"1,changed"});
  CHECK(rows_in(rows + "deleted.csv") == Lines{"3", "4", "7"});
  CHECK(rows_in(report->quarantine + "/export/closed/public.there.inserted.csv") == Lines{"1"});
  const auto objects = report->quarantine + "/export/postgres/large_objects/";
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(objects)) names.insert(file.path().filename());
  CHECK(names == std::set<std::string>{"5001.bin", "6001.bin", "6003.bin", "deleted.csv", "objects.csv"});
  CHECK(text_of(objects + "5001.bin") == "oXY 1");
  CHECK(std::filesystem::file_size(objects + "6001.bin") == 1'500'000);
  CHECK(text_of(objects + "6001.bin").ends_with("keel keel "));
  CHECK(std::filesystem::file_size(objects + "6003.bin") == 0);
  CHECK(rows_in(objects + "deleted.csv") == Lines{"5002"});
  CHECK(rows_in(objects + "objects.csv").size() == 3);
  CHECK(isolated.pair.b->wait_streams("a"));
  CHECK(isolated.pair.a->value("SELECT count(*) FROM keyed WHERE id IN (3, 4, 7, 100)") == "3");
  CHECK(isolated.pair.a->value("SELECT convert_from(lo_get(5001), 'UTF8')") == "old 1");
  REQUIRE(server.stop(StopMode::kFast, 20s));
  check_pages();
}
