// What a diverged primary alone had committed, on real servers: the report and the export against what was written.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "proxy/io/postmaster_file.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_care.h"
#include "replication/agent/server_processes.h"
#include "tests/unit/agent/lost_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

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
    sql.query("SELECT lo_unlink(5003)");
    sql.query("VACUUM pg_largeobject");
    sql.query("VACUUM pg_largeobject_metadata");
    sql.query("SELECT lo_unlink(5002); GRANT SELECT ON LARGE OBJECT 5004 TO PUBLIC");
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
  REQUIRE(exported->problems.size() == 6);
  CHECK(exported->problems[0].starts_with("postgres.\"public\".\"swept\": 1 deleted rows are no longer"));
  CHECK(exported->problems[1].starts_with("postgres.\"public\".\"swept\": of up to 1 updates"));
  CHECK(exported->problems[2].starts_with("postgres.\"public\".\"swept\": the first versions of 2 rows"));
  CHECK(exported->problems[3].starts_with(
      "postgres.\"public\".\"swept_clean\": the file of its rows was dropped, emptied"));
  CHECK(exported->problems[4].starts_with("postgres: 1 deleted large objects are no longer on their pages"));
  CHECK(exported->problems[5].starts_with("postgres: 1 deleted pieces of large objects are no longer"));
  CHECK(exported->large_objects.written == 1);
  CHECK(exported->large_objects.deleted == 1);
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
  CHECK(text_of(target + "/postgres/large_objects/5004.bin") == "old 4");
  CHECK(file("postgres/large_objects/objects").size() == 1);
  CHECK(file("postgres/large_objects/objects").begin()->find("=r/") != std::string::npos);
  CHECK(file("postgres/large_objects/deleted") == Lines{"5002"});
  CHECK(file("postgres/public.t.inserted").empty());
  CHECK(summary["sequences"][0]["last_value"].get<std::string>() >= "7");
  CHECK(std::filesystem::exists(target + "/README.txt"));
  CHECK_FALSE(std::filesystem::exists(entry.folder + "/working-copy"));
  CHECK(ServerPair::replicates(*isolated.pair.b, *isolated.pair.a));
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
  // Somebody else, who had read the log before, and comes with numbers only.
  const auto late = make_lost_report(entry, isolated.pair.a->local());
  REQUIRE_MESSAGE(late, late.error().message);
  CHECK(late->named);

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
