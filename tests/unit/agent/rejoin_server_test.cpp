// Rejoins on real servers: what is started, what is rewound, what is rebuilt, and what is refused.
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include "proxy/io/durable_file.h"
#include "replication/agent/wal_end.h"
#include "tests/unit/agent/rejoin_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a crashed primary that holds nothing of its own is started as a standby, without a rewind") {
  ServerPair pair;
  pair.a->kill_tree();
  ServerPair::promote(*pair.b, "a");
  pair.b->query("INSERT INTO t VALUES (1)");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "start");
  CHECK(report->quarantine.empty());
  CHECK(report->moved_aside.empty());
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
}

TEST_CASE("a primary that was shut down cleanly is started as a standby") {
  ServerPair pair;
  pair.a->stop();
  ServerPair::promote(*pair.b, "a");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "start");
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a diverged primary is set aside, rewound and streams again; and back once more") {
  ServerPair pair;
  pair.a->query("ALTER SYSTEM SET synchronous_standby_names = ''");
  pair.a->query("ALTER SYSTEM SET work_mem = '5MB'");
  pair.diverge();
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(report->moved_aside.empty());
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SELECT count(*) FROM t WHERE x = -1") == "0");
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
  CHECK(pair.a->value("SHOW cluster_name") == "a");
  CHECK(pair.a->value("SHOW work_mem") == "5MB");
  CHECK_FALSE(ServerPair::local(*pair.a).look().rejoin_cut_off);
  CHECK_FALSE(std::filesystem::exists(pair.a->data_directory() + ".pgkeel-rejoin"));

  // What is in quarantine is the server as it was: asked, it has the row that the cluster lost.
  REQUIRE(std::filesystem::exists(report->quarantine + "/report.json"));
  CHECK(has_all_rows_of_a(report->quarantine + "/data"));

  // The next failover goes the other way.
  pair.b->kill_tree();
  ServerPair::promote(*pair.a, "b");
  const auto back = pair.rejoin(*pair.b, *pair.a);
  REQUIRE_MESSAGE(back, back.error().message);
  CHECK(back->method == "start");
  CHECK(ServerPair::replicates(*pair.a, *pair.b));
}

TEST_CASE("a diverged primary is set aside also where pgkeel's own files are for nobody else") {
  ServerPair pair;
  pair.diverge();
  const mode_t before = umask(0077);
  const auto report = pair.rejoin(*pair.a, *pair.b);
  umask(before);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK_FALSE(report->quarantine.empty());
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a diverged primary that cannot be rewound is rebuilt, and its old data directory kept") {
  ServerPair pair({.settings = {"wal_log_hints = off"}});
  pair.diverge();
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
  CHECK(pair.a->value("SHOW cluster_name") == "a");
  REQUIRE(std::filesystem::exists(report->moved_aside + "/PG_VERSION"));
  CHECK(read_file(report->quarantine + "/report.json")->find(report->moved_aside) != std::string::npos);
  CHECK(pair.said().find("it cannot be rewound, so it is rebuilt: it has neither wal_log_hints nor data checksums") !=
        std::string::npos);
  CHECK(has_all_rows_of_a(report->moved_aside));
}

TEST_CASE("a rewind that fails ends in a rebuild") {
  ServerPair pair;
  pair.diverge();
  // Without its WAL it can neither recover nor be compared. What is left of it is all kept.
  for (const auto& entry : std::filesystem::directory_iterator(pair.a->data_directory() + "/pg_wal")) {
    if (entry.is_regular_file()) std::filesystem::remove(entry);
  }
  const auto before = content_of(pair.a->data_directory() + "/base");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.said().find("the rewind failed, so it is rebuilt: ") != std::string::npos);
  CHECK(content_of(report->quarantine + "/data/base") == before);
  CHECK(std::filesystem::exists(report->moved_aside + "/PG_VERSION"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a node whose control file is damaged is rebuilt, and what it had is kept") {
  ServerPair pair;
  pair.diverge();
  std::ofstream(pair.a->data_directory() + "/global/pg_control", std::ios::trunc) << "nonsense";
  const auto before = content_of(pair.a->data_directory());
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.said().find("it cannot be used any more: ") != std::string::npos);
  CHECK(content_of(report->moved_aside) == before);
  CHECK(read_file(report->quarantine + "/report.json")->find(report->moved_aside) != std::string::npos);
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a standby that has more than the one that was promoted is set aside and rewound") {
  ServerPair pair;
  const auto c = PostgresServer::standby_of(*pair.a, "c");
  pair.b->stop();
  pair.a->query("INSERT INTO t VALUES (-1)");
  REQUIRE(pair.a->wait_caught_up("c"));
  pair.a->kill_tree();
  c->kill_tree();
  pair.b->start();
  ServerPair::promote(*pair.b, "c");
  const auto report = pair.rejoin(*c, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK_FALSE(report->quarantine.empty());
  CHECK(ServerPair::replicates(*pair.b, *c));
  CHECK(c->value("SELECT count(*) FROM t WHERE x = -1") == "0");
}

TEST_CASE("of two standbys that were both promoted to one timeline, the other is rebuilt") {
  ServerPair pair;
  const auto c = PostgresServer::standby_of(*pair.a, "c");
  pair.a->stop();
  ServerPair::promote(*pair.b, "c");
  ServerPair::promote(*c, "b");
  c->query("INSERT INTO t VALUES (-1)");
  c->kill_tree();
  const auto report = pair.rejoin(*c, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK_FALSE(report->quarantine.empty());
  CHECK(ServerPair::replicates(*pair.b, *c));
}

TEST_CASE(
    "a standby of a timeline that two nodes wrote from the same position on is rebuilt, never taken for one of the "
    "other") {
  ServerPair pair;
  const auto c = PostgresServer::standby_of(*pair.a, "c");
  const auto d = PostgresServer::standby_of(*c, "d");
  pair.a->stop();
  ServerPair::promote(*pair.b, "d");
  c->query("SELECT pg_promote(true)");
  REQUIRE(c->wait_streams("d"));
  c->query("INSERT INTO t VALUES (-1)");
  REQUIRE(c->wait_caught_up("d"));
  pair.b->query("INSERT INTO t SELECT generate_series(1, 1000)");
  const auto history = [](const PostgresServer& server) {
    return *read_file(server.data_directory() + "/pg_wal/00000002.history");
  };
  CHECK(history(*pair.b) == history(*d));  // nothing else tells them apart
  c->kill_tree();
  d->kill_tree();
  const auto report = pair.rejoin(*d, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK_FALSE(report->quarantine.empty());
  CHECK(ServerPair::replicates(*pair.b, *d));
}

TEST_CASE("a crashed standby is only started") {
  ServerPair pair;
  pair.b->kill_tree();
  const auto report = pair.rejoin(*pair.b, *pair.a);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "start");
  CHECK(ServerPair::replicates(*pair.a, *pair.b));
}

TEST_CASE("a standby follows another primary when it is started as its standby") {
  ServerPair pair;
  const auto c = PostgresServer::standby_of(*pair.a, "c");
  c->stop();
  pair.a->kill_tree();
  ServerPair::promote(*pair.b, "c");
  REQUIRE(ServerPair::local(*c).start_as_standby(ServerPair::upstream(*pair.b), 60s));
  CHECK(ServerPair::replicates(*pair.b, *c));
}

TEST_CASE("a primary that holds nothing of its own is rebuilt where the WAL that it needs is gone") {
  ServerPair pair({.settings = {"wal_keep_size = 0", "min_wal_size = 32MB", "max_wal_size = 32MB"}});
  pair.a->kill_tree();
  const auto found = ServerPair::local(*pair.a).examine();
  REQUIRE(found);
  pair.b->query("SELECT pg_promote(true)");
  REQUIRE(wait_until([&] {
    pair.b->query("INSERT INTO t VALUES (1); SELECT pg_switch_wal(); CHECKPOINT");
    return pair.b->value("SELECT min(name) > right('" + wal_file_name(1, found->end_of_wal, 16U << 20) +
                         "', 16) FROM (SELECT right(name, 16) AS name FROM pg_ls_waldir()) files") == "t";
  }));
  ServerPair::prepare_upstream(*pair.b, "a");
  std::filesystem::permissions(pair.a->data_directory(), std::filesystem::perms(0750));
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.said().find("it is rebuilt: b no longer has the WAL from " + format_lsn(found->end_of_wal) + " on") !=
        std::string::npos);
  CHECK(report->quarantine.empty());
  CHECK(std::filesystem::exists(report->moved_aside + "/PG_VERSION"));
  CHECK(std::filesystem::status(pair.a->data_directory()).permissions() == std::filesystem::perms(0750));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("an empty folder becomes a standby, on its own port") {
  ServerPair pair;
  const auto c = PostgresServer::standby_of(*pair.a, "c");
  c->stop();
  std::filesystem::remove_all(c->data_directory());
  const auto report = pair.rejoin(*c, *pair.a);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(report->moved_aside.empty());
  CHECK(ServerPair::replicates(*pair.a, *c));
}

TEST_CASE("a data directory behind a link, with its WAL behind another, is rebuilt in its place") {
  ServerPair pair({.settings = {"wal_log_hints = off"}});
  pair.diverge();
  const auto disk = pair.folder.path() + "/disk";
  std::filesystem::create_directory(disk);
  std::filesystem::rename(pair.a->data_directory() + "/pg_wal", disk + "/wal");
  std::filesystem::create_directory_symlink(disk + "/wal", pair.a->data_directory() + "/pg_wal");
  std::filesystem::rename(pair.a->data_directory(), disk + "/data");
  std::filesystem::create_directory_symlink("disk/data", pair.a->data_directory());
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(report->moved_aside.starts_with(disk + "/data.replaced-"));
  CHECK(std::filesystem::is_symlink(pair.a->data_directory()));
  CHECK(std::filesystem::is_symlink(pair.a->data_directory() + "/pg_wal"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}
