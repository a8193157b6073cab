// The lost-transactions report of a whole cluster: from the failover to the rows in files.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <httplib.h>

#include "tests/e2e/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// `a` commits what `b` never hears of, and crashes.
template <class AnyCluster>
void lose_rows(const AnyCluster& cluster) {
  cluster.server("b").freeze_tree();
  // More than the sockets between them hold: b would read that when it goes on.
  cluster.server("a").query("CREATE TABLE filler AS SELECT generate_series(1, 400000) AS x");
  cluster.server("a").query("CREATE TABLE only_on_a (id int PRIMARY KEY, v text)");
  cluster.server("a").query("INSERT INTO only_on_a SELECT g, 'row ' || g FROM generate_series(1, 1000) g");
  cluster.server("a").query("DELETE FROM only_on_a WHERE id <= 10");
  cluster.server("a").kill_tree();
  cluster.server("b").thaw_tree();
}

bool knows_what_is_lost(const nlohmann::json& status) {
  return status["condition"] == "normal" && status["lost"].size() == 1 && status["lost"][0]["transactions"] == 4;
}

std::size_t lines_in(const std::string& path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

}  // namespace

TEST_CASE("what a failover lost is told in an event, the status and the metrics, and its rows are written out") {
  Cluster cluster({"b"}, {.cluster_lines = {"durability = \"async\""}});
  lose_rows(cluster);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for(knows_what_is_lost, 180s), cluster.pgkeel->describe());
  const std::string report = cluster.pgkeel->status()["lost"][0]["report"];
  CHECK(report.starts_with("a-"));
  bool told = false;
  for (const auto& event : cluster.pgkeel->events()) {
    const std::string text = event["text"];
    told =
        told || (event["severity"] == "warning" && text.starts_with("the cluster lacks 4 committed transactions (") &&
                 text.ends_with("that a alone had: pgkeel lost test " + report));
  }
  CHECK_MESSAGE(told, cluster.pgkeel->events().dump(1));
  CHECK(cluster.pgkeel->run_verb({"status"}).output.find("lost: 4 committed transactions") != std::string::npos);
  CHECK(cluster.pgkeel->metrics().find("pgkeel_lost_transactions_total{cluster=\"test\"} 4") != std::string::npos);
  CHECK(cluster.pgkeel->metrics().find("pgkeel_lost_wal_bytes_total{cluster=\"test\"} ") != std::string::npos);

  // The records of the failover and of the rejoin say the same.
  const auto failover = cluster.pgkeel->decisions("failover").back();
  CAPTURE(failover.dump(2));
  CHECK(failover["from"] == "a");
  CHECK(failover["to"] == "b");
  CHECK(failover["wal"]["proven_lossless"] == false);
  CHECK(failover["wal"]["old_primary_had_more"] == true);
  CHECK(failover["wal"]["lost"]["report"] == report);
  CHECK(failover["wal"]["lost"]["transactions"] == 4);
  const auto rejoin = cluster.pgkeel->decisions("rejoin").back();
  CAPTURE(rejoin.dump(2));
  CHECK(rejoin["outcome"] == "done");
  CHECK(rejoin["to"] == "a");
  CHECK_FALSE(rejoin["reason"].get<std::string>().empty());
  CHECK_FALSE(rejoin["steps"].empty());

  const auto list = cluster.pgkeel->run_verb({"lost", "test"});
  CHECK(list.exit_status == 0);
  CHECK(list.output.find(report) != std::string::npos);
  const auto shown = cluster.pgkeel->run_verb({"lost", "test", report});
  CHECK(shown.output.find("public.only_on_a: 1000 inserted, 10 deleted, created") != std::string::npos);
  const auto json = nlohmann::json::parse(cluster.pgkeel->run_verb({"lost", "test", "a-", "--json"}).output);
  CHECK(json["transactions"].size() == 4);

  const auto target = cluster.folder.path() + "/rows";
  const auto exported = cluster.pgkeel->run_verb({"lost", "test", report, "--export", target});
  CHECK_MESSAGE(exported.exit_status == 0, exported.error_output);
  CHECK(exported.error_output.find("writing postgres.public.only_on_a (") != std::string::npos);
  CHECK(lines_in(target + "/postgres/public.only_on_a.inserted.csv") == 991);
  CHECK_FALSE(std::filesystem::exists(target + "/postgres/public.only_on_a.deleted.csv"));
  CHECK(cluster.pgkeel->run_verb({"lost", "test", report, "--export", target}).exit_status == 1);
  CHECK(cluster.pgkeel->run_verb({"lost", "test", "b-"}).exit_status == 1);
  CHECK(cluster.pgkeel->run_verb({"lost", "nobody"}).exit_status == 2);
}

TEST_CASE("a report that was cut off is completed at the next start, and told once") {
  Cluster cluster({"b"}, {.cluster_lines = {"durability = \"async\""}});
  lose_rows(cluster);
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) {
    for (const auto& action : now["actions"]) {
      if (action["action"] == "rejoin a" && action["state"] == "running") return true;
    }
    return false;
  }));
  cluster.pgkeel->kill();
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for(knows_what_is_lost, 180s), cluster.pgkeel->describe());
  // As if it had been killed before the report was made, with the copy complete.
  cluster.pgkeel->terminate();
  const auto folder =
      cluster.folder.path() + "/pgkeel-quarantine/" +
      std::filesystem::directory_iterator(cluster.folder.path() + "/pgkeel-quarantine")->path().filename().string();
  std::ifstream file(folder + "/report.json");
  auto report = nlohmann::json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  report.erase("lost");
  std::ofstream(folder + "/report.json") << report.dump();
  cluster.pgkeel->start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for(knows_what_is_lost, 180s), cluster.pgkeel->describe());
  int told = 0;
  for (const auto& event : cluster.pgkeel->events()) {
    if (event["text"].get<std::string>().starts_with("the cluster lacks ")) ++told;
  }
  CHECK(told == 1);

  // When it is older than the quarantine keeps anything its data goes, with an event; what it held is told on.
  cluster.pgkeel->terminate();
  REQUIRE(std::filesystem::exists(folder + "/data"));
  std::ofstream(folder + "/age.json") << R"({"boot": "an earlier one", "seconds_since_boot": 0, "seconds": 315360000})";
  cluster.pgkeel->start();
  CHECK(wait_until([&] {
    return std::ranges::any_of(cluster.pgkeel->events(), [&](const auto& event) {
      return event["text"].template get<std::string>().find("removed what " + folder +
                                                            " kept, which held 4 committed") != std::string::npos;
    });
  }));
  CHECK_FALSE(std::filesystem::exists(folder + "/data"));
  CHECK(cluster.pgkeel->run_verb({"lost", "test"}).output.find(std::filesystem::path(folder).filename()) !=
        std::string::npos);
}

TEST_CASE("what a node on another host lost is told and written out through its agent, row by row") {
  AgentCluster cluster({}, {"durability = \"async\""});
  lose_rows(cluster);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for(knows_what_is_lost, 180s), cluster.pgkeel->describe());
  const std::string report = cluster.pgkeel->status()["lost"][0]["report"];
  CHECK(cluster.event_with("that a alone had: pgkeel lost test " + report) != "");
  const auto quarantine = cluster.folder.path() + "/quarantine/" + report;
  CHECK(wait_until([&] { return std::filesystem::exists(quarantine + "/announced"); }));

  CHECK(cluster.pgkeel->run_verb({"lost", "test"}).output.find(report) != std::string::npos);
  // The names of tables are found after the rejoin.
  CHECK(wait_until(
      [&] {
        return cluster.pgkeel->run_verb({"lost", "test", report})
                   .output.find("public.only_on_a: 1000 inserted, 10 deleted, created") != std::string::npos;
      },
      60s));
  CHECK(nlohmann::json::parse(cluster.pgkeel->run_verb({"lost", "test", report, "--json"}).output)["transactions"]
            .size() == 4);

  const auto target = cluster.folder.path() + "/rows";
  const auto exported = cluster.pgkeel->run_verb({"lost", "test", report, "--export", target});
  REQUIRE_MESSAGE(exported.exit_status == 0, exported.error_output);
  CHECK(exported.error_output.find("writing postgres.public.only_on_a (") != std::string::npos);
  std::string rows = "id,v\n";
  for (int id = 11; id <= 1000; ++id) rows += std::to_string(id) + ",row " + std::to_string(id) + "\n";
  std::ifstream file(target + "/postgres/public.only_on_a.inserted.csv");
  CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == rows);
  CHECK(std::filesystem::file_size(target + "/postgres/public.filler.inserted.csv") > (1U << 20U));  // in pieces
  CHECK(lines_in(target + "/postgres/public.filler.inserted.csv") == 400001);
  CHECK(std::filesystem::exists(target + "/summary.json"));
  CHECK(std::filesystem::exists(target + "/README.txt"));
  CHECK_FALSE(std::filesystem::exists(target + "/.pgkeel-export"));
  CHECK_FALSE(std::filesystem::exists(quarantine + "/rows-for-pgkeel"));
  CHECK(cluster.pgkeel->run_verb({"lost", "test", report, "--export", target}).exit_status == 1);

  cluster.agent("a").kill();
  const auto out_of_reach = cluster.pgkeel->run_verb({"lost", "test"});
  CHECK(out_of_reach.exit_status == 0);
  CHECK(out_of_reach.error_output.find("what is beside a is not known: its agent: ") != std::string::npos);
  CHECK(cluster.pgkeel->status()["lost"].size() == 1);
}
