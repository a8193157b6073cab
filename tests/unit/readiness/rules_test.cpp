#include "replication/readiness/rules.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/unit/readiness/ready_cluster.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("where all is in order nothing is found") {
  ReadyCluster cluster;
  CHECK(cluster.found().empty());
  CHECK(cluster.ready() == "failover rejoin");
}

TEST_CASE("nodes: who is not reachable, of another cluster, in the wrong role") {
  ReadyCluster cluster;
  SUBCASE("a standby does not answer: the other one can still be promoted") {
    cluster.at("b").server.reset();
    cluster.at("b").unreachable = "connection refused";
    CHECK(cluster.found() == "error b reachable\n");
    CHECK(cluster.judged().findings.front().remedy.starts_with("start PostgreSQL on b"));
    cluster.at("b").unreachable = "server does not support SSL, but SSL was required";
    CHECK(cluster.judged().findings.front().remedy.starts_with("make `server_tls` of the configuration"));
    CHECK(cluster.ready() == "failover -");
  }
  SUBCASE("another cluster, another major version, another minor version") {
    cluster.at("b").server->system_identifier = "7001";
    cluster.at("c").server->version_number = 140005;
    CHECK(cluster.found() == "error b system_identifier\nerror c version\nerror c monitor_privileges [superuser]\n");
    CHECK(cluster.ready() == "- -");
  }
  SUBCASE("a minor version") {
    cluster.at("c").server->version_number = 150019;
    CHECK(cluster.found() == "notice c version\n");
  }
  SUBCASE("two primaries, and none") {
    cluster.at("b").server->in_recovery = false;
    CHECK(cluster.found() == "error - roles\n");
    CHECK(cluster.ready() == "- -");
    cluster.at("a").server->in_recovery = cluster.at("b").server->in_recovery = true;
    CHECK(cluster.found() == "error - roles\n");
  }
  SUBCASE("nobody may ever be promoted") {
    cluster.at("b").priority = cluster.at("c").priority = 0;
    CHECK(cluster.found() == "error - candidates\n");
    CHECK(cluster.ready() == "- rejoin");
  }
  SUBCASE("a standby that does not stream, one that catches up, one without its slot") {
    cluster.at("a").server->senders.erase(cluster.at("a").server->senders.begin());
    cluster.at("a").server->senders[0].state = "catchup";
    cluster.at("a").server->senders[0].pid = 1;
    CHECK(cluster.found() == "error b streaming\nwarning c streaming\nwarning c slot\n");
    CHECK(cluster.ready() == "failover rejoin");
  }
  SUBCASE("two that bear a standby's name") {
    cluster.at("a").server->senders.push_back({"b", 99, "streaming", "10.0.0.77"});
    CHECK(cluster.found() == "error b impostor\n");
  }
  SUBCASE("clocks that differ, by less than can be told and by more") {
    cluster.at("b").server->clock_ahead = 900ms;
    CHECK(cluster.found().empty());
    cluster.at("b").server->clock_ahead = -61s;
    CHECK(cluster.found() == "warning b clock\n");
    CHECK(cluster.judged().findings.front().problem.find("1m1s behind") == std::string::npos);
  }
  SUBCASE("certificates that end soon, of either side") {
    const WallTime now = cluster.at("a").agent.asked_at = WallTime(std::chrono::hours(1'000'000));
    cluster.at("a").agent.certificate_ends = now + 31 * 24h;
    cluster.at("a").agent.own_certificate_ends = now + 31 * 24h;
    CHECK(cluster.found() == "");
    cluster.at("a").agent.certificate_ends = now + 29 * 24h;
    cluster.at("a").agent.own_certificate_ends = now - 1h;
    cluster.at("a").agent.error = "certificate has expired";
    CHECK(cluster.found() ==
          "error a agent\nwarning a certificate [the agent's]\nwarning a certificate [pgkeel's own]\n");
  }
  SUBCASE("agents that are missing, do not answer, or are of another version") {
    cluster.at("a").agent = {};
    cluster.at("b").agent.error = "connection refused";
    cluster.at("c").agent.version = "0.0.1";
    CHECK(cluster.found() == "error b agent\nwarning a agent\nwarning c agent\n");
    CHECK(cluster.ready() == "failover -");
    cluster.at("a").local = true;
    CHECK(cluster.found() == "error b agent\nwarning c agent\n");
    CHECK(cluster.judged().findings.back().problem ==
          fmt::format("its agent is version 0.0.1, and this pgkeel is {}", pgkeel_version()));
  }
  SUBCASE("an agent that is so old that it tells no version") {
    cluster.at("c").agent.version.clear();
    CHECK(cluster.found() == "warning c agent\n");
    CHECK(cluster.judged().findings.front().problem.starts_with(
        fmt::format("its agent is older than this pgkeel ({}), and does not tell its version: ", pgkeel_version())));
    CHECK(cluster.ready() == "failover rejoin");
  }
}

TEST_CASE("settings: each that a failover or rejoin needs") {
  struct Row {
    const char* name;
    const char* value;
    const char* found;
    const char* ready;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"wal_level", "minimal", "error b wal_level\nwarning b differs [wal_level]\n", "failover -"},
           {"hot_standby", "off", "error b hot_standby\n", "failover -"},
           {"max_wal_senders", "2", "error b max_wal_senders\nerror b standby_limits [max_wal_senders]\n",
            "failover -"},
           {"max_replication_slots", "1", "error b max_replication_slots\n", "failover -"},
           {"wal_log_hints", "off", "warning b wal_log_hints\n", "failover rejoin"},
           {"full_page_writes", "off", "warning b full_page_writes\n", "failover rejoin"},
           {"fsync", "off", "warning b fsync\n", "failover rejoin"},
           {"restart_after_crash", "on", "notice b restart_after_crash\n", "failover rejoin"},
           {"wal_receiver_timeout", "0", "warning b wal_receiver_timeout\n", "failover rejoin"},
           {"recovery_target_lsn", "0/3000000", "error b recovery_target [recovery_target_lsn]\n", "failover -"},
           {"recovery_target_timeline", "current", "error b recovery_target_timeline\n", "failover -"},
           {"recovery_min_apply_delay", "60000", "error b recovery_min_apply_delay\n", "failover rejoin"},
           {"restore_command", "cp /x %p", "notice b restore_command\n", "failover rejoin"},
           {"listen_addresses", "localhost", "error b listen_addresses\n", "failover -"},
           {"ssl", "on", "warning b differs [ssl]\n", "failover rejoin"}}) {
    CAPTURE(row.name);
    ReadyCluster cluster;
    cluster.setting("b", row.name) = row.value;
    CHECK(cluster.found() == row.found);
    CHECK(cluster.ready() == row.ready);
  }
}

TEST_CASE("settings: with data checksums wal_log_hints is not needed; a change that waits for a restart is told") {
  ReadyCluster cluster;
  cluster.setting("b", "wal_log_hints") = "off";
  cluster.setting("b", "data_checksums") = "on";
  CHECK(cluster.found().empty());
  cluster.at("b").server->settings["max_connections"].pending_restart = true;
  CHECK(cluster.found() == "warning b pending_restart\n");
}

TEST_CASE("settings: what a standby must not have lower, now or after the next failover") {
  ReadyCluster cluster;
  cluster.setting("b", "max_connections") = "90";
  CHECK(cluster.found() == "error b standby_limits [max_connections]\n");
  CHECK(cluster.judged().findings.front().prevents == Prevents::kBoth);
  cluster.setting("b", "max_connections") = "100";
  cluster.setting("c", "max_connections") = "200";
  CHECK(cluster.found() == "error a standby_limits [max_connections]\nerror b standby_limits [max_connections]\n");
  CHECK(cluster.judged().findings.front().prevents == Prevents::kRejoin);
  CHECK(cluster.ready() == "failover -");
}

TEST_CASE("both standbys are kept behind: no failover; one of them: the other one; a promotion ends a paused replay") {
  ReadyCluster cluster;
  cluster.at("b").server->replay_paused = true;
  CHECK(cluster.found() == "warning b replay_paused\n");
  cluster.at("c").server->replay_paused = true;
  CHECK(cluster.ready() == "failover rejoin");
  cluster.setting("b", "recovery_min_apply_delay") = "60000";
  CHECK(cluster.ready() == "failover rejoin");
  cluster.setting("c", "recovery_min_apply_delay") = "60000";
  CHECK(cluster.ready() == "- rejoin");
}

TEST_CASE("commits that escape replication are errors where something is promised") {
  ReadyCluster cluster;
  cluster.config.durability = Durability::kAsync;
  cluster.at("a").server->synchronous_commit = {{"batch", "", "off"}, {"", "app", "local"}, {"x", "", "remote_apply"}};
  CHECK(cluster.found() ==
        "warning a synchronous_commit [\"batch\"]\nwarning a synchronous_commit [ALL IN DATABASE \"app\"]\n");
  CHECK(cluster.judged().findings[1].remedy == "ALTER DATABASE \"app\" RESET synchronous_commit");
  cluster.config.durability = Durability::kStrict;
  cluster.at("a").server->synchronous_commit.clear();
  for (const char* node : {"a", "b", "c"}) cluster.setting(node, "synchronous_commit") = "remote_write";
  CHECK(cluster.found() == "error a synchronous_commit\n");
  CHECK(cluster.ready() == "failover rejoin");
}

TEST_CASE("privileges: what the monitoring role lacks, and what comes of it") {
  ReadyCluster cluster;
  MonitorRights& rights = cluster.at("b").server->rights;
  SUBCASE("a superuser lacks nothing") {
    rights = {.superuser = true,
              .may_replicate = true,
              .missing_roles = {"pg_monitor"},
              .missing_functions = {},
              .missing_parameters = {}};
    CHECK(cluster.found().empty());
  }
  SUBCASE("each privilege") {
    rights.may_replicate = false;
    rights.missing_roles = {"pg_signal_backend", "pg_checkpoint"};
    rights.missing_functions = {"pg_promote(boolean, integer)"};
    rights.missing_parameters = {"primary_slot_name"};
    CHECK(cluster.found() ==
          "error b monitor_privileges [REPLICATION]\nerror b monitor_privileges [pg_checkpoint]\n"
          "error b monitor_privileges [pg_promote(boolean, integer)]\n"
          "error b monitor_privileges [ALTER SYSTEM on primary_slot_name]\n"
          "warning b monitor_privileges [pg_signal_backend]\n");
  }
}

TEST_CASE("privileges: the replication role") {
  ReadyCluster cluster;
  auto& role = cluster.at("a").server->replication_role;
  role->missing_functions = {"pg_stat_file(text, boolean)"};
  CHECK(cluster.found() == "warning a replication_privileges\n");
  role->expired = true;
  CHECK(cluster.found() == "error a replication_privileges\n");
  role.reset();
  CHECK(cluster.found() == "error a replication_privileges\n");
  CHECK(cluster.ready() == "failover -");
}

TEST_CASE("logins: a wrong password is an error, a missing line for this host only where a node is here") {
  ReadyCluster cluster;
  auto& login = cluster.at("b").replication_login;
  login.error = "password authentication failed";
  login.sqlstate = "28P01";
  CHECK(cluster.found() == "error b replication_login\n");
  login.sqlstate = "28000";
  CHECK(cluster.found() == "warning b replication_login\n");
  cluster.at("b").local = true;
  CHECK(cluster.found() == "error b replication_login\n");
  CHECK(cluster.judged().findings.front().remedy.find("host replication pgkeel_repl 10.0.0.100/32") !=
        std::string::npos);
}

TEST_CASE("pg_hba.conf: every other node must be let in, whoever is primary") {
  ReadyCluster cluster;
  SUBCASE("no line for a node") {
    cluster.at("b").server->hba->front().address = "10.0.0.1";
    cluster.at("b").server->hba->front().netmask = "255.255.255.255";
    CHECK(cluster.found() == "error b pg_hba [replication from c]\nwarning b pg_hba [postgres from c]\n");
    CHECK(cluster.judged().findings.front().remedy.find("host replication pgkeel_repl 10.0.0.3/32") !=
          std::string::npos);
  }
  SUBCASE("the address that a standby really comes from counts") {
    cluster.at("a").server->senders[0].client_address = "192.168.7.7";
    CHECK(cluster.found() == "error a pg_hba [replication from b]\nwarning a pg_hba [postgres from b]\n");
  }
  SUBCASE("a line that cannot be used, one that trusts the proxy, a file that may not be read") {
    cluster.at("a").server->hba->push_back({.line_number = 9,
                                            .type = "",
                                            .databases = {},
                                            .users = {},
                                            .address = "",
                                            .netmask = "",
                                            .method = "",
                                            .error = "invalid method"});
    cluster.at("b").server->hba->front().method = "trust";
    cluster.at("c").server->hba.reset();
    CHECK(cluster.found() == "error a pg_hba [line 9]\nwarning b trust [line 1]\nnotice c pg_hba [not readable]\n");
  }
}

TEST_CASE("retention: slots, limits, archives") {
  ReadyCluster cluster;
  auto& slots = cluster.at("a").server->slots;
  SUBCASE("a slot that lost its WAL, one that keeps much for nobody") {
    slots[0].wal_status = "lost";
    SlotFacts barman;
    barman.name = "barman";
    barman.retained_bytes = 5ULL << 30;
    slots.push_back(barman);
    for (const std::string node : {"b", "c"}) cluster.at(node).server->slots = {barman};  // its copies
    CHECK(cluster.found() == "warning a slot_lost [pgkeel_b]\nwarning a slot_keeps_wal [barman]\n");
  }
  SUBCASE("no limit, and one below the distance of checkpoints") {
    cluster.setting("a", "max_slot_wal_keep_size") = "-1";
    cluster.setting("b", "max_slot_wal_keep_size") = "512";
    CHECK(cluster.found() == "warning b max_slot_wal_keep_size\nnotice a max_slot_wal_keep_size\n");
  }
  SUBCASE("archiving that keeps WAL for ever") {
    for (const char* node : {"a", "b", "c"}) cluster.setting(node, "archive_mode") = "on";
    for (const char* node : {"b", "c"}) cluster.setting(node, "archive_command") = "cp %p /x";
    cluster.at("b").server->archiver_fails = true;
    CHECK(cluster.found() == "warning a archive_command\nwarning b archive_command\n");
  }
}

TEST_CASE("hosts: disks, files, programs") {
  ReadyCluster cluster;
  HostFacts host;
  host.disks = {{"data directory", "/srv/pg", 100ULL << 30, 200ULL << 30}};
  SUBCASE("all there") {
    cluster.at("b").host = host;
    CHECK(cluster.found().empty());
  }
  SUBCASE("nearly full, full") {
    host.disks[0].free_bytes = 2ULL << 30;
    cluster.at("b").host = host;
    CHECK(cluster.found() == "warning b disk_space [/srv/pg]\n");
    cluster.at("b").host->disks[0].free_bytes = 1 << 20;
    CHECK(cluster.found() == "error b disk_space [/srv/pg]\nwarning b room_for_wal [/srv/pg]\n");
  }
  SUBCASE("no room for a second copy") {
    cluster.at("b").host = host;
    cluster.at("b").server->database_bytes = 150ULL << 30;
    CHECK(cluster.found() == "warning b room_for_rebuild\n");
  }
  SUBCASE("a file, a program, the folder") {
    cluster.at("b").server->missing_files = {"ssl_key_file: /etc/ssl/key"};
    host.missing_programs = {"pg_rewind"};
    host.parent_is_writable = false;
    host.data_directory_is_mount_point = true;
    cluster.at("b").host = host;
    CHECK(cluster.found() ==
          "error b programs\nerror b data_directory\nerror b missing_file [ssl_key_file: /etc/ssl/key]\n"
          "warning b data_directory\n");
    CHECK(cluster.ready() == "failover -");
  }
  SUBCASE("little room for WAL, on a disk of its own or on that of the data") {
    cluster.setting("b", "max_wal_size") = "4096";
    host.disks.push_back({"pg_wal", "/wal", 5ULL << 30, 6ULL << 30});
    cluster.at("b").host = host;
    CHECK(cluster.found().empty());
    cluster.at("b").host->disks[1].free_bytes = 3ULL << 30;
    CHECK(cluster.found() == "warning b room_for_wal [/wal]\n");
  }
  SUBCASE("little memory") {
    host.memory_total_bytes = 100ULL << 30;
    host.memory_available_bytes = 6ULL << 30;
    cluster.at("b").host = host;
    CHECK(cluster.found().empty());
    cluster.at("b").host->memory_available_bytes = 4ULL << 30;
    CHECK(cluster.found() == "warning b memory\n");
  }
  SUBCASE("programs of another version") {
    host.postgres_version = "15.14";
    host.other_versions = {{"pg_rewind", "15.9"}};
    cluster.at("b").host = host;
    CHECK(cluster.found() == "warning b programs [pg_rewind]\n");
    cluster.at("b").host->other_versions = {{"pg_rewind", "14.9"}};
    CHECK(cluster.found() == "error b programs [pg_rewind]\n");
    CHECK(cluster.ready() == "failover -");
    cluster.at("b").host->other_versions.clear();
    cluster.at("b").host->postgres_version = "14.9";
    CHECK(cluster.found() == "error b programs [postgres]\n");
  }
  SUBCASE("a file that only SQL could look for") {
    cluster.at("c").server->missing_files = {"hba_file: /gone"};
    CHECK(cluster.found() == "error c missing_file [hba_file: /gone]\n");
  }
}
