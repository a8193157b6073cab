// What a diverged primary alone had committed, on real servers: the report and the export against what was written.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "proxy/io/child_process.h"
#include "proxy/io/os_user.h"
#include "proxy/io/postmaster_file.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_care.h"
#include "replication/agent/server_processes.h"
#include "tests/unit/agent/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

using Json = nlohmann::json;
using Lines = std::multiset<std::string>;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The lines of a CSV file after its header; empty where it is not there.
Lines rows_in(const std::string& path) {
  std::ifstream file(path);
  Lines lines;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) lines.insert(line);
  return lines;
}

// A primary that goes on alone: `common` is written while the standby follows, `alone` after it was cut off.
class Isolated {
 public:
  explicit Isolated(const ServerOptions& options) : pair(options) {}

  void run(const std::string& common, const std::function<void(PostgresServer&)>& alone) {
    if (!common.empty()) each_statement(*pair.a, common);
    if (!pair.a->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
    pair.b->stop();
    alone(*pair.a);
    pair.a->kill_tree();
    pair.b->start();
    ServerPair::promote(*pair.b, "a");
    pair.b->query("INSERT INTO t VALUES (1)");
  }

  static void each_statement(const PostgresServer& server, const std::string& text) {
    SqlConnection connection(server.conninfo());
    connection.query(text);
  }

  QuarantineEntry entry() const {
    const auto local = pair.a->local();
    auto entries = read_quarantine(quarantine_folder_of(local), local.data_directory);
    if (entries.empty()) throw std::runtime_error("nothing is in quarantine");
    return entries.back();
  }

  Result<LostExportReport> export_to(const std::string& target) {
    const auto kept = entry();
    return export_lost_rows(kept, pair.a->local(), kept.data, target, OpenDiverged::kWorkingCopy,
                            [this](const std::string& line) { pair.lines.push_back(line); });
  }

  ServerPair pair;
};

const Json* find_table(const Json& tables, const std::string& schema, const std::string& name) {
  for (const auto& table : tables) {
    if (table["schema"] == schema && table["table"] == name) return &table;
  }
  return nullptr;
}

constexpr const char* kCommon = R"sql(
CREATE TABLE keyed (id int PRIMARY KEY, v text);
INSERT INTO keyed SELECT g, 'old ' || g FROM generate_series(1, 50) g;
CREATE TABLE keyless (x int, y text);
INSERT INTO keyless SELECT g, 'y' || g FROM generate_series(1, 5) g;
CREATE SCHEMA "odd / sch.ema";
CREATE TABLE "odd / sch.ema"."ta""ble; x" ("the key" text PRIMARY KEY, w numeric);
INSERT INTO "odd / sch.ema"."ta""ble; x" VALUES ('k1', 1), ('k,2', 2);
CREATE TABLE parted (id int, part int, v text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
CREATE TABLE wide (id int PRIMARY KEY, v text);
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
INSERT INTO wide VALUES (1, repeat('w', 9000)), (2, repeat('x', 9000));
CREATE TABLE to_drop (x int);
CREATE TABLE to_truncate (x int);
INSERT INTO to_truncate VALUES (1);
CREATE SEQUENCE counter;
CREATE TABLE swept (id int PRIMARY KEY, v int);
INSERT INTO swept VALUES (1, 1), (2, 2), (3, 3), (4, 4);
CREATE TABLE swept_clean (id int PRIMARY KEY);
INSERT INTO swept_clean VALUES (1), (2);
CREATE TABLE locked (id int PRIMARY KEY, v int);
INSERT INTO locked VALUES (1, 1), (2, 2);
)sql";

}  // namespace

TEST_CASE("every row that an isolated primary wrote alone is in the report and in the export, and no other") {
  Isolated isolated({.settings = {"max_prepared_transactions = 5"}});
  isolated.pair.a->query("CREATE DATABASE \"other db\"");
  std::string prepared_xid;
  std::unique_ptr<SqlConnection> open;  // until the crash
  isolated.run(kCommon, [&](PostgresServer& a) {
    SqlConnection sql(a.conninfo());
    sql.query("DELETE FROM swept WHERE id = 1; UPDATE swept SET id = 1002 WHERE id = 2");
    sql.query("INSERT INTO swept VALUES (9, 1); UPDATE swept SET v = 2 WHERE id = 9; DELETE FROM swept_clean");
    sql.query("VACUUM swept");
    sql.query("VACUUM swept_clean");
    sql.query("INSERT INTO keyed VALUES (100, 'new, with \"quotes\" and a\nnewline')");
    sql.query("UPDATE keyed SET v = 'changed' WHERE id = 1");
    sql.query("UPDATE keyed SET v = 'changed twice' WHERE id = 1");
    sql.query("UPDATE keyed SET id = 1002 WHERE id = 2");
    sql.query("DELETE FROM keyed WHERE id = 3");
    sql.query("UPDATE keyed SET v = 'then gone' WHERE id = 4");
    sql.query("DELETE FROM keyed WHERE id = 4");
    sql.query("INSERT INTO keyed VALUES (101, 'first'); UPDATE keyed SET v = 'second' WHERE id = 101");
    sql.query("INSERT INTO keyed VALUES (102, 'come'); DELETE FROM keyed WHERE id = 102");
    sql.query("INSERT INTO keyed VALUES (5, 'x') ON CONFLICT (id) DO UPDATE SET v = 'upserted'");
    sql.query("INSERT INTO keyed VALUES (103, NULL) ON CONFLICT DO NOTHING");
    sql.query("BEGIN; INSERT INTO keyed VALUES (200, 'never'); DELETE FROM keyed WHERE id = 6; ROLLBACK");
    sql.query(
        "BEGIN; INSERT INTO keyed VALUES (201, 'top'); SAVEPOINT a; INSERT INTO keyed VALUES (202, 'undone'); "
        "ROLLBACK TO a; SAVEPOINT b; INSERT INTO keyed VALUES (203, 'sub'); RELEASE b; COMMIT");
    prepared_xid = sql.value("BEGIN; INSERT INTO keyed VALUES (300, 'prepared'); SELECT txid_current()");
    sql.query("PREPARE TRANSACTION 'committed'");
    sql.query("COMMIT PREPARED 'committed'");
    sql.query(
        "BEGIN; INSERT INTO keyed VALUES (301, 'pending'); PREPARE TRANSACTION "
        "E'left: 2026\\nrmgr: Transaction len (rec/tot): 34/34, tx: 7, lsn: 0/1, prev 0/1, desc: COMMIT 2026-01-01'");
    sql.query("DELETE FROM keyless WHERE x = 1; UPDATE keyless SET y = 'Y' WHERE x = 2");
    sql.query(
        "INSERT INTO \"odd / sch.ema\".\"ta\"\"ble; x\" VALUES ('k3', 3.50); "
        "DELETE FROM \"odd / sch.ema\".\"ta\"\"ble; x\" WHERE w = 2");
    sql.query(
        "UPDATE parted SET part = 2 WHERE id = 1; INSERT INTO parted VALUES (4, 2, 'd'); "
        "UPDATE parted SET v = 'C' WHERE id = 3");
    sql.query(
        "INSERT INTO wide VALUES (3, repeat('y', 9000)); DELETE FROM wide WHERE id = 1; "
        "UPDATE wide SET id = 22 WHERE id = 2");
    sql.query("CREATE TABLE many (x int); INSERT INTO many SELECT generate_series(1, 3000)");
    sql.query("DROP TABLE to_drop; TRUNCATE to_truncate; ALTER TABLE keyless ADD z int");
    sql.query("SELECT nextval('counter') FROM generate_series(1, 7)");
    {
      SqlConnection other(a.conninfo());  // two lock one row: a multixact, of whose members one then updates
      sql.query("BEGIN; SELECT * FROM locked WHERE id = 1 FOR KEY SHARE");
      other.query("BEGIN; UPDATE locked SET v = 10 WHERE id = 1; COMMIT");
      sql.query("COMMIT");
    }
    SqlConnection elsewhere(a.conninfo("postgres", "'other db'"));
    elsewhere.query("CREATE TABLE there (id int PRIMARY KEY); INSERT INTO there VALUES (1), (2)");
    open = std::make_unique<SqlConnection>(a.conninfo());
    open->query("BEGIN; INSERT INTO keyed VALUES (400, 'in flight')");
    sql.query("CHECKPOINT");
    sql.query("INSERT INTO keyed VALUES (104, 'after the checkpoint')");
  });
  const auto rejoined = isolated.pair.rejoin(*isolated.pair.a, *isolated.pair.b);
  INFO(isolated.pair.said());
  REQUIRE_MESSAGE(rejoined, rejoined.error().message);
  CHECK(rejoined->method == "rewind");
  CHECK(isolated.pair.said().find("the cluster lacks ") != std::string::npos);

  const auto entry = isolated.entry();
  const auto report = read_report(entry.folder);
  REQUIRE(report);
  INFO(report->dump(1));
  REQUIRE(entry.examined);
  CHECK(entry.named);
  // The name of a prepared transaction that looks like a record is none.
  REQUIRE(entry.problems.size() == 1);
  CHECK(entry.problems[0].starts_with("1 lines of pg_waldump's output follow no record"));
  const auto& lost = (*report)["lost"];
  const auto transactions = read_lost_transactions(entry.folder);
  REQUIRE(transactions);
  CHECK(transactions->size() == entry.transactions);
  CHECK(entry.wal_bytes > 3000 * 28);
  const auto* keyed = find_table(lost["tables"], "public", "keyed");
  REQUIRE(keyed != nullptr);
  CHECK((*keyed)["inserted"] == 8);
  CHECK((*keyed)["updated"] == 6);
  CHECK((*keyed)["deleted"] == 3);
  CHECK((*find_table(lost["tables"], "public", "to_drop"))["storage"] == Json({"dropped"}));
  CHECK((*find_table(lost["tables"], "public", "to_truncate"))["storage"] == Json({"truncated"}));
  CHECK((*find_table(lost["tables"], "public", "many"))["storage"] == Json({"created"}));
  CHECK((*find_table(lost["tables"], "public", "there"))["database"] == "other db");
  REQUIRE(lost["prepared"].size() == 1);
  REQUIRE(lost["in_flight"].size() == 1);
  const auto of_prepared = std::ranges::find_if(
      *transactions, [&](const Json& one) { return std::to_string(one["xid"].get<std::uint32_t>()) == prepared_xid; });
  REQUIRE(of_prepared != transactions->end());
  CHECK((*of_prepared)["gid"] == "committed");
  CHECK(std::ranges::count_if(*transactions, [](const Json& one) { return one["xid"] == 7; }) == 0);
  CHECK(std::ranges::any_of(*transactions, [](const Json& one) {
    return one.contains("subtransactions") && one["tables"][0]["inserted"] == 2;
  }));

  const auto target = isolated.pair.folder.path() + "/export";
  const auto exported = isolated.export_to(target);
  INFO(isolated.pair.said());
  REQUIRE_MESSAGE(exported, exported.error().message);
  const auto summary = Json::parse(text_of(target + "/summary.json"), nullptr, false);
  INFO(summary.dump(1));
  REQUIRE(exported->left_out.size() == 1);
  CHECK(exported->left_out[0].ends_with(
      "which is prepared and was not ended, is in no file: only the data directory has it"));
  CHECK(summary["complete"] == false);
  REQUIRE(exported->problems.size() == 4);
  CHECK(exported->problems[0].starts_with("postgres.\"public\".\"swept\": 1 deleted rows are no longer"));
  CHECK(exported->problems[1].starts_with("postgres.\"public\".\"swept\": of up to 1 updates"));
  CHECK(exported->problems[2].starts_with("postgres.\"public\".\"swept\": the first versions of 2 rows"));
  CHECK(exported->problems[3].starts_with(
      "postgres.\"public\".\"swept_clean\": the file of its rows was dropped, emptied"));
  const auto file = [&](const std::string& name) { return rows_in(target + "/" + name + ".csv"); };
  CHECK(file("postgres/public.keyed.inserted") == Lines{"100,\"new, with \"\"quotes\"\" and a", "newline\"",
                                                        "101,second", "103,", "201,top", "203,sub", "300,prepared",
                                                        "104,after the checkpoint"});
  CHECK(file("postgres/public.keyed.updated") == Lines{"1,changed twice", "1002,old 2", "5,upserted"});
  CHECK(file("postgres/public.keyed.deleted") == Lines{"2", "3", "4"});
  CHECK(file("postgres/public.keyless.updated") == Lines{"2,Y,"});
  CHECK(file("postgres/public.keyless.deleted") == Lines{"1,y1,", "2,y2,"});
  CHECK(file("postgres/odd%20%2F%20sch%2Eema.ta%22ble%3B%20x.inserted") == Lines{"k3,3.50"});
  CHECK(file("postgres/odd%20%2F%20sch%2Eema.ta%22ble%3B%20x.deleted") == Lines{"\"k,2\""});
  CHECK(file("postgres/public.parted_1.deleted") == Lines{"1,1"});
  CHECK(file("postgres/public.parted_2.inserted") == Lines{"1,2,a", "4,2,d"});
  CHECK(file("postgres/public.parted_2.updated") == Lines{"3,2,C"});
  CHECK(file("postgres/public.wide.inserted") == Lines{"3," + std::string(9000, 'y')});
  CHECK(file("postgres/public.wide.updated") == Lines{"22," + std::string(9000, 'x')});
  CHECK(file("postgres/public.wide.deleted") == Lines{"1", "2"});
  CHECK(file("postgres/public.many.inserted").size() == 3000);
  CHECK(file("postgres/public.swept.inserted_or_updated") == Lines{"1002,2", "9,2"});
  CHECK(file("postgres/public.swept.updated").empty());
  CHECK(file("postgres/public.locked.updated") == Lines{"1,10"});
  CHECK(file("other%20db/public.there.inserted") == Lines{"1", "2"});
  CHECK(file("postgres/public.t.inserted").empty());
  CHECK(summary["sequences"][0]["last_value"].get<std::string>() >= "7");
  CHECK(std::filesystem::exists(target + "/README.txt"));
  CHECK_FALSE(std::filesystem::exists(entry.folder + "/working-copy"));
  CHECK(ServerPair::replicates(*isolated.pair.b, *isolated.pair.a));
}

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
  CHECK(isolated.pair.b->wait_streams("a"));
  CHECK(isolated.pair.a->value("SELECT count(*) FROM keyed WHERE id IN (3, 4, 7, 100)") == "3");
  REQUIRE(server.stop(StopMode::kFast, 20s));
  check_pages();
}

TEST_CASE("a directory that was moved aside is reported and exported, with what was made since its last checkpoint") {
  Isolated isolated({.settings = {"wal_log_hints = off", "checkpoint_timeout = 1h"}});
  isolated.run("CREATE TABLE wide (v text); INSERT INTO wide VALUES (repeat('w', 9000))", [](PostgresServer& a) {
    a.query("CHECKPOINT");
    a.query("CREATE SCHEMA fresh");
    a.query("CREATE TABLE fresh.made (id int PRIMARY KEY, v text)");
    a.query("INSERT INTO fresh.made VALUES (1, 'one'), (2, 'two')");
    a.query("DELETE FROM wide");
  });
  const auto rejoined = isolated.pair.rejoin(*isolated.pair.a, *isolated.pair.b);
  INFO(isolated.pair.said());
  REQUIRE_MESSAGE(rejoined, rejoined.error().message);
  CHECK(rejoined->method == "basebackup");
  const auto entry = isolated.entry();
  CHECK(entry.data == rejoined->moved_aside);
  CHECK(entry.data_exists);
  REQUIRE(entry.examined);
  CHECK(entry.transactions == 4);
  CHECK_FALSE(entry.named);  // what was made since is in the log only

  const auto named = complete_lost_report(entry, isolated.pair.a->local(), [](const std::string&) {});
  REQUIRE_MESSAGE(named, named.error().message);
  CHECK(named->named);
  CHECK(named->transactions == 4);
  const auto report = read_report(entry.folder);
  CHECK((*find_table((*report)["lost"]["tables"], "fresh", "made"))["inserted"] == 2);

  const auto target = isolated.pair.folder.path() + "/export";
  const auto exported = isolated.export_to(target);
  REQUIRE_MESSAGE(exported, exported.error().message);
  CHECK(rows_in(target + "/postgres/fresh.made.inserted.csv") == Lines{"1,one", "2,two"});
  CHECK(rows_in(target + "/postgres/public.wide.deleted.csv") == Lines{std::string(9000, 'w')});
  // The evidence is as it was, and can be exported again.
  CHECK_FALSE(isolated.export_to(target));
  REQUIRE(isolated.export_to(target + "2"));
  CHECK(rows_in(target + "2/postgres/public.wide.deleted.csv") == Lines{std::string(9000, 'w')});
  CHECK(ServerPair::replicates(*isolated.pair.b, *isolated.pair.a));

  // Whoever exports is killed: what that leaves behind goes when the quarantine is looked after.
  const pid_t child = fork();
  if (child == 0) {
    (void)export_lost_rows(entry, isolated.pair.a->local(), entry.data, target + "3", OpenDiverged::kWorkingCopy,
                           [](const std::string& line) {
                             if (line.starts_with("writing ")) kill(getpid(), SIGKILL);
                           });
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const auto copy = entry.folder + "/working-copy/data";
  const auto postmaster = read_postmaster_file(copy);
  REQUIRE(postmaster);
  CHECK(std::filesystem::exists(postmaster->socket_folder));
  CHECK(wait_until([&] { return find_server_processes(copy).pids.empty(); }));
  std::set<std::string> tried;
  const auto kept = look_after_quarantine("a", isolated.pair.a->local(), {}, tried);
  CHECK(kept.entries.size() == 1);
  CHECK_FALSE(std::filesystem::exists(postmaster->socket_folder));
  CHECK_FALSE(std::filesystem::exists(entry.folder + "/working-copy"));
  REQUIRE(isolated.export_to(target + "4"));
}
