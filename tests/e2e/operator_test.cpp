// What an operator orders on the command line, on real servers.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "proxy/io/background_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

void check_done(const VerbResult& verb) {
  INFO(verb.output);
  INFO(verb.error_output);
  CHECK(verb.exit_status == 0);
}

void check_refused(const VerbResult& verb, const std::string& why, int exit_status = 1) {
  INFO(verb.output);
  INFO(verb.error_output);
  CHECK(verb.exit_status == exit_status);
  CHECK(verb.error_output.find(why) != std::string::npos);
}

std::size_t quarantines_of(const PostgresServer& server) {
  const std::filesystem::path directory = server.data_directory();
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.parent_path() / "pgkeel-quarantine"))
    count += entry.path().filename() == "report.json" ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE(
    "a failover that is ordered takes the route from a primary that lives, and loses nothing that is synchronous") {
  Cluster cluster({"b"}, {.cluster_lines = {"failover = \"manual\""}});
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto verb = cluster.pgkeel->run_verb({"failover", "test", "--to", "b", "--yes"});
  check_done(verb);
  CHECK(verb.output.find("failover done: b is the primary") != std::string::npos);
  REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  CHECK(most_route_errors_of_one(writers) <= 1);
  CHECK(writers.connect_errors().empty());
  cluster.check_roles("b");
  CHECK(cluster.pgkeel->status()["orders"][0]["state"] == "done");
  const auto decisions = cluster.pgkeel->run_verb({"decisions", "test", "--json"});
  check_done(decisions);
  CHECK(decisions.output.find("\"kind\":\"failover\"") != std::string::npos);
  CHECK(decisions.output.find("\"proven_lossless\":true") != std::string::npos);
  CHECK(decisions.output.find("redundant again") != std::string::npos);
  check_done(cluster.pgkeel->run_verb({"decisions", "test"}));
  // Back again, by the best: there is one only.
  check_done(cluster.pgkeel->run_verb({"failover", "test", "--yes"}));
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
}

TEST_CASE("what cannot be, or is wrong, is refused in one line, and nothing happens") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  check_refused(pgkeel.run_verb({"failover", "test", "--to", "a", "--yes"}), "a is the primary already");
  check_refused(pgkeel.run_verb({"resolve", "test", "--keep", "b", "--yes"}), "nothing collides");
  check_refused(pgkeel.run_verb({"rejoin", "test", "a", "--yes"}), "a is the primary");
  check_refused(pgkeel.run_verb({"failover", "test", "--to", "z", "--yes"}), "no node z", 2);
  check_refused(pgkeel.run_verb({"failover", "nobody", "--yes"}), "no cluster nobody", 2);
  check_refused(pgkeel.run_verb({"failover"}), "CLUSTER", 2);
  check_refused(pgkeel.run_verb({"rejoin", "test", "b", "--discard-old-data"}), "--rebuild", 2);
  const std::string token_file = cluster.folder.path() + "/token";
  std::ofstream(token_file, std::ios::trunc) << "not the token of the pgkeel that runs\n";
  check_refused(pgkeel.run_verb({"failover", "test", "--yes"}), "neither a token nor a name");
  std::ofstream(token_file, std::ios::trunc) << "another-token-than-that-of-pgkeel\n";
  check_refused(pgkeel.run_verb({"failover", "test", "--yes"}), "is not the one of the pgkeel at");
  CHECK(pgkeel.status()["epoch"] == 1);
  CHECK(pgkeel.status()["orders"].empty());
}

TEST_CASE("an order outlives pgkeel: killed in the middle of it, the next start goes on with it") {
  Cluster cluster;
  // The fence hangs on a frozen server for a moment: time to kill pgkeel.
  cluster.server("a").freeze_tree();
  VerbResult verb;
  std::thread operator_thread([&] { verb = cluster.pgkeel->run_verb({"failover", "test", "--yes"}); });
  const bool begun = cluster.pgkeel->wait_for([](const auto& now) { return now["epoch"] == 2; });
  cluster.pgkeel->kill();
  cluster.pgkeel->start();
  operator_thread.join();
  CHECK(begun);
  check_done(verb);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  CHECK(cluster.pgkeel->status()["epoch"] == 2);
}

TEST_CASE("a standby that was shut down is started again by order, and rebuilt by order") {
  Cluster cluster;
  auto& b = cluster.server("b");
  Writers writers(cluster.pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  b.stop("fast");
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) {
    return now["nodes"][1]["note"].template get<std::string>().find("shut down cleanly") != std::string::npos;
  }));
  check_done(cluster.pgkeel->run_verb({"rejoin", "test", "b", "--yes"}));
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());

  std::ofstream(b.data_directory() + "/base/only-in-the-old-one") << "x";
  const auto rebuilt = cluster.pgkeel->run_verb({"rejoin", "test", "b", "--rebuild", "--discard-old-data", "--yes"});
  CAPTURE(rebuilt.output);
  check_done(rebuilt);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  cluster.check_roles("a");
  CHECK_FALSE(std::filesystem::exists(b.data_directory() + "/base/only-in-the-old-one"));
  const std::filesystem::path parent = std::filesystem::path(b.data_directory()).parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(parent))
    CHECK_MESSAGE(entry.path().string().find(".replaced-") == std::string::npos, entry.path().string());
}

TEST_CASE("a standby promoted by hand beside the primary is a collision, until an operator says whose history stays") {
  for (const std::string kept : {"a", "b"}) {
    CAPTURE(kept);
    const std::string other = kept == "a" ? "b" : "a";
    Cluster cluster;
    cluster.server("a").query("CREATE TABLE sides (side text)");
    Writers writers(cluster.pgkeel->conninfo(), 2);
    REQUIRE(writers.wait_for_more(20));
    cluster.server("b").query("SELECT pg_promote()");
    cluster.server("a").query("INSERT INTO sides VALUES ('a')");
    cluster.server("b").query("INSERT INTO sides VALUES ('b')");
    REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "collision"; }),
                    cluster.pgkeel->describe());
    const auto status = cluster.pgkeel->status();
    CHECK(status["route"] == "a");
    CHECK(status["summary"].get<std::string>().find("a on timeline 1 and b on timeline 2 went apart at 0/") !=
          std::string::npos);
    check_refused(cluster.pgkeel->run_verb({"failover", "test", "--yes"}), "pgkeel resolve");
    check_done(cluster.pgkeel->run_verb({"resolve", "test", "--keep", kept, "--yes"}));
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(kept), cluster.pgkeel->describe());
    REQUIRE_MESSAGE(writers.wait_for_more(20), cluster.pgkeel->describe());
    writers.stop();
    CHECK(most_route_errors_of_one(writers) <= (kept == "a" ? 0 : 1));
    CHECK(writers.connect_errors().empty());
    // What clients wrote to the one that is given up is set aside with it.
    if (kept == "a") CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
    cluster.check_roles(kept);
    CHECK(cluster.pgkeel->status()["epoch"] == (kept == "a" ? 1 : 2));
    CHECK(cluster.server(kept).value("SELECT string_agg(side, ',') FROM sides") == kept);
    REQUIRE(cluster.server(kept).wait_caught_up(other));
    CHECK(wait_until([&] { return cluster.server(other).value("SELECT string_agg(side, ',') FROM sides") == kept; }));
    CHECK(quarantines_of(cluster.server(other)) == 1);

    // It is a standby as any other, although pg_rewind leaves it WAL of the timeline that was given up.
    cluster.server(other).stop("fast");
    REQUIRE(cluster.pgkeel->wait_for([&](const auto& now) {
      const std::string note = now["nodes"][other == "a" ? 0 : 1]["note"];
      return note.find("shut down cleanly") != std::string::npos;
    }));
    check_done(cluster.pgkeel->run_verb({"rejoin", "test", other, "--yes"}));
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(kept), cluster.pgkeel->describe());
    CHECK(quarantines_of(cluster.server(other)) == 1);
    check_done(cluster.pgkeel->run_verb({"switchover", "test", "--to", other, "--yes"}));
    REQUIRE_MESSAGE(cluster.pgkeel->wait_normal(other), cluster.pgkeel->describe());
  }
}

TEST_CASE("who watches or follows sees it happen, and goes on when pgkeel is started again") {
  Cluster cluster;
  auto& pgkeel = *cluster.pgkeel;
  const auto begin = [&](const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), PGKEEL_BINARY);
    arguments.insert(arguments.end(), {"--config", pgkeel.config_file()});
    auto started = BackgroundProcess::start(arguments, cluster.folder.path() + "/" + name);
    REQUIRE(started);
    return std::move(*started);
  };
  const auto told = [&](const std::string& name) {
    std::ifstream file(cluster.folder.path() + "/" + name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  };
  auto watching = begin("watch", {"status", "--watch", "--json"});
  auto following = begin("follow", {"events", "--follow", "--json"});
  const auto last_condition = [&] {
    const auto lines = told("watch");
    const auto status = lines.empty() ? nlohmann::json() : nlohmann::json::parse(lines.back(), nullptr, false);
    return status.is_object() ? status["clusters"][0]["condition"].get<std::string>() : "";
  };
  REQUIRE(wait_until([&] { return last_condition() == "normal"; }));
  REQUIRE(pgkeel.run_verb({"maintenance", "on", "test", "--yes"}).exit_status == 0);
  CHECK(wait_until([&] { return last_condition() == "maintenance"; }));
  CHECK(wait_until([&] {
    return std::ranges::any_of(told("follow"), [](const std::string& line) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      return event.is_object() && event["text"].get<std::string>().find("maintenance on") != std::string::npos;
    });
  }));
  REQUIRE(pgkeel.run_verb({"maintenance", "off", "test", "--yes"}).exit_status == 0);
  CHECK(wait_until([&] { return last_condition() == "normal"; }));
  pgkeel.terminate();
  const std::size_t watched = told("watch").size();
  const std::size_t followed = told("follow").size();
  pgkeel.start();
  CHECK(wait_until([&] { return told("watch").size() > watched && last_condition() == "normal"; }));
  CHECK(wait_until([&] { return told("follow").size() > followed; }));
  CHECK(watching.running());
  CHECK(following.running());
}
