// pgkeel itself is killed and started again, at any moment of a failover; and first starts.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

std::string stored_phase(const PgkeelProcess& pgkeel) {
  std::ifstream file(pgkeel.state_directory() + "/cluster-test.state");
  std::string checksum;
  std::getline(file, checksum);
  const std::string body(std::istreambuf_iterator<char>(file), {});
  const auto json = nlohmann::json::parse(body, nullptr, false);
  return json.is_object() ? json.value("phase", "") : "";
}

}  // namespace

TEST_CASE("pgkeel is killed in each phase of a failover, and goes on from there") {
  Cluster cluster;
  std::string primary = "a";
  std::set<std::string> phases_hit;
  std::size_t failovers = 0;
  // The phases last milliseconds: the state file is watched, and the kill lands in the phase or a little later.
  for (int attempt = 0; attempt < 12 && phases_hit.size() < 3; ++attempt) {
    const std::string standby = primary == "a" ? "b" : "a";
    const std::string target = !phases_hit.contains("fencing")     ? "fencing"
                               : !phases_hit.contains("promoting") ? "promoting"
                                                                   : "steady";
    CAPTURE(attempt);
    CAPTURE(target);
    cluster.require_normal(primary);
    Writers writers(cluster.pgkeel->conninfo(), 2);
    REQUIRE(writers.wait_for_more(20));
    const auto epoch = cluster.pgkeel->status()["epoch"].get<int>();
    cluster.server(primary).kill_tree();
    if (target == "steady") {
      REQUIRE(
          cluster.pgkeel->wait_for([&](const auto& now) { return now["epoch"] > epoch && now["phase"] == "steady"; }));
    } else {
      for (int look = 0; look < 200000 && stored_phase(*cluster.pgkeel) == "steady"; ++look) {
      }
      if (target == "promoting") {
        for (int look = 0; look < 20000 && stored_phase(*cluster.pgkeel) == "fencing"; ++look) {
        }
      }
    }
    cluster.pgkeel->kill();
    phases_hit.insert(stored_phase(*cluster.pgkeel));
    cluster.pgkeel->start();
    REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(), cluster.pgkeel->describe());
    writers.stop();
    CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
    primary = cluster.pgkeel->status()["route"];
    CHECK(primary == standby);
    cluster.check_roles(primary);
    ++failovers;
  }
  // Each left its record, whenever pgkeel was killed, and it is complete.
  const auto records = cluster.pgkeel->decisions("failover");
  CHECK(records.size() == failovers);
  for (const auto& record : records) {
    CAPTURE(record.dump(2));
    CHECK(record["outcome"] == "done");
    CHECK(record["steps"].back()["step"] == "redundant again");
  }
  CHECK(std::ranges::any_of(records, [](const auto& record) { return record["restarted"] == true; }));
  CHECK(phases_hit.contains("fencing"));
  CHECK(phases_hit.contains("promoting"));
  CHECK(phases_hit.contains("steady"));
}

TEST_CASE("pgkeel is killed while the old primary is made a standby again") {
  // Rows that b lacks: a must be rewound, not only started. Only under async is b promoted without them.
  PgkeelOptions options;
  options.cluster_lines = {"durability = \"async\""};
  Cluster cluster({"b"}, options);
  cluster.server("b").freeze_tree();
  cluster.server("a").query("CREATE TABLE only_on_a AS SELECT generate_series(1, 100000) AS id");
  cluster.server("a").kill_tree();
  cluster.server("b").thaw_tree();
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) {
    for (const auto& action : now["actions"]) {
      if (action["action"] == "rejoin a" && action["state"] == "running") return true;
    }
    return false;
  }));
  cluster.pgkeel->kill();
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b");
  CHECK(std::filesystem::exists(cluster.folder.path() + "/pgkeel-quarantine"));
}

TEST_CASE("the primary fails while pgkeel is down") {
  Cluster cluster;
  cluster.pgkeel->kill();
  cluster.server("a").kill_tree();
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b");
}

TEST_CASE("a first start without state waits until every node answers, or is told which to adopt") {
  Cluster cluster;
  cluster.pgkeel->terminate();
  std::filesystem::remove_all(cluster.pgkeel->state_directory());
  cluster.server("b").stop("fast");
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
    return now["summary"].template get<std::string>().find("b does not answer") != std::string::npos &&
           now["route"].is_null();
  }),
                  cluster.pgkeel->describe());
  cluster.pgkeel->terminate();
  cluster.pgkeel->start({"--adopt", "a"});
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"] == "a"; }),
                  cluster.pgkeel->describe());
}

TEST_CASE("two primaries at the first start: no route, and the reason is told") {
  Cluster cluster;
  cluster.pgkeel->terminate();
  std::filesystem::remove_all(cluster.pgkeel->state_directory());
  cluster.server("b").query("SELECT pg_promote()");
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "collision"; }),
                  cluster.pgkeel->describe());
  CHECK(cluster.pgkeel->status()["route"].is_null());
  const auto verb = cluster.pgkeel->run_verb({"status"});
  CHECK(verb.exit_status == 0);
  CHECK(verb.output.find("a and b are primaries") != std::string::npos);
}

TEST_CASE("a node promoted by hand is followed where the old primary is stopped before the fork") {
  Cluster cluster({"b"}, {.proxy_lines = {}, .cluster_lines = {"failover = \"manual\""}, .detection_lines = {}});
  cluster.server("a").query("CREATE TABLE before_the_fork (id int)");
  cluster.server("a").stop("fast");
  cluster.server("b").query("SELECT pg_promote()");
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  cluster.check_roles("b");
}

TEST_CASE("a node promoted by hand beside a living primary is a collision, and the route stays") {
  Cluster cluster;
  cluster.server("b").query("SELECT pg_promote()");
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "collision"; }),
                  cluster.pgkeel->describe());
  CHECK(cluster.pgkeel->status()["route"] == "a");
  CHECK(cluster.server("a").is_primary());
}

TEST_CASE("a failover within failover_pause is left to the operator") {
  Cluster cluster(
      {"b"},
      {.proxy_lines = {}, .cluster_lines = {"failover_pause = \"10m\"", "auto_rejoin = false"}, .detection_lines = {}});
  cluster.server("a").kill_tree();
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"] == "b"; }));
  cluster.pgkeel->terminate();
  cluster.pgkeel->start();  // the limit is remembered
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"] == "b"; }));
  cluster.server("b").kill_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
    return now["summary"].template get<std::string>().find("failover_pause") != std::string::npos &&
           now["route"].is_null();
  }),
                  cluster.pgkeel->describe());
  // Why nobody was promoted is recorded, once it has lasted.
  REQUIRE(wait_until([&] { return !cluster.pgkeel->decisions("refused failover").empty(); }));
  const auto refused = cluster.pgkeel->decisions("refused failover").back();
  CAPTURE(refused.dump(2));
  CHECK(refused["outcome"] == "refused");
  CHECK(refused["from"] == "b");
  CHECK(refused["ordered_by"].is_null());
  CHECK(refused["reason"].get<std::string>().find("failover_pause") != std::string::npos);
  CHECK(std::ranges::any_of(refused["evidence"], [](const auto& evidence) {
    return evidence["node"] == "b" && evidence["liveness"] == "dead";
  }));
}

TEST_CASE("SIGTERM ends every client with 57P01, then the process") {
  Cluster cluster;
  SqlConnection client(cluster.pgkeel->conninfo());
  CHECK(client.value("SELECT 1") == "1");
  cluster.pgkeel->terminate();
  CHECK_FALSE(cluster.pgkeel->running());
  try {
    client.query("SELECT 1");
    FAIL("the session goes on");
  } catch (const SqlError& error) {
    CHECK(error.sqlstate == "57P01");
  }
}
