#include "tests/unit/readiness/ready_cluster.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("retention: copies of the slots of others") {
  ReadyCluster cluster;
  SlotFacts barman;
  barman.name = "barman";
  barman.restart_lsn = Lsn{0x2000000};
  cluster.at("a").server->slots.push_back(barman);
  cluster.at("b").server->slots.push_back(barman);
  SUBCASE("none yet, and none is needed where nobody is promoted") {
    CHECK(cluster.found() == "notice c slot_copy [barman]\n");
    cluster.at("c").priority = 0;
    CHECK(cluster.found().empty());
  }
  SUBCASE("one that begins behind what its reader needs") {
    cluster.at("c").server->slots.push_back(barman);
    cluster.at("c").server->slots.back().restart_lsn = Lsn{0x2000001};
    CHECK(cluster.found() == "warning c slot_copy [barman]\n");
    cluster.at("a").server->slots.back().active_pid = 7;  // its reader may have come so far meanwhile
    CHECK(cluster.found().empty());
    cluster.at("c").server->slots.back().restart_lsn = Lsn{0x3000001};
    CHECK(cluster.found() == "warning c slot_copy [barman]\n");
  }
  SUBCASE("one whose primary keeps nothing yet") {
    cluster.at("c").server->slots.push_back(barman);
    cluster.at("a").server->slots.back().restart_lsn = Lsn{};
    CHECK(cluster.found().empty());
  }
  SUBCASE("one that lost its WAL is pgkeel's to mend") {
    cluster.at("c").server->slots.push_back(barman);
    cluster.at("c").server->slots.back().wal_status = "lost";
    CHECK(cluster.found() == "warning c slot_lost [barman]\n");
    CHECK(cluster.judged().findings.front().remedy.starts_with("pgkeel makes it anew"));
  }
  SUBCASE("a standby needs room for all of them") {
    cluster.at("c").server->slots.push_back(barman);
    cluster.setting("b", "max_replication_slots") = "3";
    CHECK(cluster.found().empty());
    cluster.setting("b", "max_replication_slots") = "2";
    CHECK(cluster.found() == "error b max_replication_slots\n");
  }
}

TEST_CASE("logical slots are reported: before PostgreSQL 17 always, and where one was left") {
  ReadyCluster cluster;
  SlotFacts slot;
  slot.name = "sub";
  slot.logical = true;
  cluster.at("a").server->slots.push_back(slot);
  CHECK(cluster.found() == "warning a logical_slot [sub]\n");
  cluster.at("b").server->slots.push_back(slot);
  CHECK(cluster.found() == "warning a logical_slot [sub]\nwarning b logical_slot [sub]\n");
  for (const std::string node : {"a", "b", "c"})
    cluster.setting(node, "shared_preload_libraries") = "pg_failover_slots";
  CHECK(cluster.found() == "warning a logical_slot [sub]\n");
}

TEST_CASE("logical slots are reported: from PostgreSQL 17 on where they would not survive") {
  ReadyCluster cluster;
  SlotFacts slot;
  slot.name = "sub";
  slot.logical = true;
  cluster.at("a").server->slots.push_back(slot);
  for (auto& node : cluster.nodes) {
    node.server->version_number = 170002;
    node.server->settings["sync_replication_slots"].value = "on";
    node.server->settings["hot_standby_feedback"].value = "on";
    node.server->settings["primary_conninfo"].value = "host='a' dbname='postgres'";
    node.server->settings["primary_slot_name"].value = "pgkeel_" + node.node;
  }
  CHECK(cluster.found() == "warning a logical_slot [sub]\n");
  cluster.at("a").server->slots.back().failover = true;
  cluster.setting("a", "synchronized_standby_slots") = "pgkeel_b, pgkeel_c";
  slot.synced = true;
  cluster.at("b").server->slots.push_back(slot);
  CHECK(cluster.found() == "warning c logical_slot [sub]\n");
  cluster.at("c").server->slots.push_back(slot);
  CHECK(cluster.found().empty());
  SUBCASE("a standby that is not waited for, one that would wait for itself") {
    cluster.setting("a", "synchronized_standby_slots") = "pgkeel_b,pgkeel_cc";
    CHECK(cluster.found() == "warning a synchronized_standby_slots [c]\n");
    cluster.setting("a", "synchronized_standby_slots") = "pgkeel_b,pgkeel_c";
    cluster.setting("b", "synchronized_standby_slots") = "pgkeel_a, pgkeel_b";
    CHECK(cluster.found() == "warning b synchronized_standby_slots [b]\n");
  }
  SUBCASE("a standby that cannot synchronize them") {
    cluster.at("b").server->slots.clear();
    cluster.setting("b", "sync_replication_slots") = "off";
    cluster.setting("b", "hot_standby_feedback") = "off";
    cluster.setting("b", "primary_conninfo") = "host='a'";
    cluster.setting("b", "primary_slot_name") = "";
    CHECK(cluster.found() ==
          "warning b failover_slots [sync_replication_slots]\nwarning b failover_slots [hot_standby_feedback]\n"
          "warning b failover_slots [primary_conninfo]\nwarning b failover_slots [primary_slot_name]\n");
    cluster.at("b").priority = 0;
    CHECK(cluster.found().empty());
  }
  SUBCASE("a slot of that name that is no copy, and one that is lost") {
    cluster.at("b").server->slots.back().synced = false;
    cluster.at("c").server->slots.back().wal_status = "lost";
    CHECK(cluster.found() == "warning b logical_slot [sub]\nwarning c logical_slot [sub]\n");
  }
}
