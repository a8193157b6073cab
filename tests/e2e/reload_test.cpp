// A changed configuration on real servers: every kind of key while clients work, in the middle of a failover and of a
// switchover, and files that are no good.
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>
#include <tuple>

#include "config/changes.h"
#include "config/parse.h"
#include "proxy/io/background_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/peer.h"
#include "tests/support/sql_connection.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

// One change of each kind of key, which leaves the cluster one that can work.
std::vector<std::string> changed_files(const ConfigFile& file, std::uint16_t other_port,
                                       const TestCertificates& certificates) {
  const std::string cluster = "[cluster.test]";
  const std::string detection = "[cluster.test.detection]";
  std::vector<std::string> files = {
      file.with("[proxy]", "max_client_connections = 500\nlogin_rate = 50"),
      file.with("[proxy]", "login_timeout = \"7s\"\nhold_timeout = \"20s\""),
      file.with("[proxy]", "no_route = \"refuse\""),
      file.with("[proxy]", "workers = 7"),
      file.with_instead("level = \"debug\"", "level = \"info\"\nformat = \"json\""),
      file.with("[quarantine]", "max_age = \"10d\"\nmax_bytes = 1000000"),
      file.with(cluster, "allow = [\"127.0.0.0/8\"]"),
      file.with(cluster, "durability = \"async\""),
      file.with(cluster, "durability = \"strict\""),
      file.with(cluster, "failover = \"manual\"\nauto_rejoin = false\ndrain_timeout = \"1s\""),
      file.with_instead("failover_pause = \"0s\"", "failover_pause = \"5m\""),
      file.with_instead("user = \"pgkeel\", database = \"postgres\"", "user = \"pgkeel\", database = \"template1\""),
      file.with(cluster, certificates.client_tls("allow")),
      file.with(detection, "interval = \"300ms\"\nprobe_timeout = \"2s\"\nfailure_timeout = \"5s\""),
      file.with(detection, "refused_confirm = \"200ms\"\nrestart_grace = \"5s\"\nwhen_path_cut = \"wait\""),
      file.with_instead("name = \"b\"\n", "name = \"b\"\npriority = 0\n"),
      file.without_node("b"),
      file.original() +
          "[cluster.other]\nlisten = \"127.0.0.1:0\"\n[[cluster.other.node]]\nname = \"x\"\nhost = \"127.0.0.1\"\nport "
          "= 1\n",
  };
  std::string moved = file.original();
  const auto at = moved.find("listen = ", moved.find(cluster));
  files.push_back(
      moved.replace(at, moved.find('\n', at) - at, "listen = \"127.0.0.1:" + std::to_string(other_port) + "\""));
  return files;
}

}  // namespace

TEST_CASE("every kind of key, fifty times, while clients work: no error, nothing is lost") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  const std::string log_file = cluster.folder.path() + "/pgbench.log";
  const auto pgbench = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {bin_directory() + "/pgbench", "--host=127.0.0.1", "--username=postgres",
                                     "--port=" + std::to_string(pgkeel.port())});
    options.emplace_back("postgres");
    auto started = BackgroundProcess::start(options, log_file);
    REQUIRE(started);
    return std::move(*started);
  };
  {
    auto made = pgbench({"--initialize", "--scale=1", "--quiet"});
    REQUIRE(wait_until([&] { return !made.running(); }, 60s));
  }
  auto load = pgbench({"--client=20", "--jobs=1", "--no-vacuum", "--time=600"});
  Writers writers(pgkeel.conninfo(), 4);
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["sessions"]["established"] >= 24; }));

  const auto files = changed_files(file, free_port(), TestCertificates(cluster.folder.path()));
  for (std::size_t round = 0; round < 50; ++round) {
    CAPTURE(round);
    file.write(round % 2 == 0 ? files[round / 2 % files.size()] : file.original());
    const Json answer = reload(pgkeel);
    if (round % 2 == 0) CHECK_FALSE(answer["changes"].empty());
  }
  REQUIRE(writers.wait_for_more(50));
  cluster.require_normal("a");
  CHECK(load.running());
  std::ifstream log(log_file);
  const std::string said((std::istreambuf_iterator<char>(log)), {});
  CHECK_MESSAGE(said.find("error") == std::string::npos, said);
  CHECK_MESSAGE(said.find("aborted") == std::string::npos, said);
  CHECK(pgkeel.status()["sessions"]["errors_by_sqlstate"].empty());
  CHECK(pgkeel.status()["sessions"]["established"] >= 24);
  load.end(10s);
  writers.stop();
  CHECK(writers.connect_errors().empty());
  CHECK(writers.statement_errors().empty());
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  cluster.check_roles("a");
  CHECK(metric(pgkeel, "pgkeel_config_reloads_total{result=\"success\"}") == 50);
  CHECK(metric(pgkeel, "pgkeel_config_reloads_total{result=\"refused\"}") == 0);
}

TEST_CASE("a file that is no good changes nothing, and everybody is told") {
  Cluster cluster(std::vector<std::string>{});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  SqlConnection session(pgkeel.conninfo());
  file.write(file.with("[proxy]", "hold_timeot = \"20s\""));
  const VerbResult verb = pgkeel.run_verb({"reload"});
  CHECK(verb.exit_status == 1);
  CHECK_MESSAGE(verb.error_output.find("did you mean hold_timeout?") != std::string::npos, verb.error_output);
  CHECK_MESSAGE(verb.error_output.find("nothing has changed") != std::string::npos, verb.error_output);
  const VerbResult as_json = pgkeel.run_verb({"reload", "--json"});
  CHECK(as_json.exit_status == 1);
  CHECK(Json::parse(as_json.output)["accepted"] == false);
  CHECK(Json::parse(as_json.output)["problems"][0].get<std::string>().find("hold_timeot") != std::string::npos);

  ::kill(pgkeel.pid(), SIGHUP);
  REQUIRE(wait_until([&] { return metric(pgkeel, "pgkeel_config_reloads_total{result=\"refused\"}") == 1; }));
  CHECK(metric(pgkeel, "pgkeel_config_in_force") == 0);
  CHECK(has_event(pgkeel, "the configuration on disk is not what runs: " + pgkeel.config_file() + ":2:1: "));
  CHECK(session.value("SELECT 1") == "1");

  // What only the system can tell.
  const PeerListener taken;
  std::string text = file.original();
  const auto at = text.find("listen = ", text.find("[cluster.test]"));
  text.replace(at, text.find('\n', at) - at, "listen = \"127.0.0.1:" + std::to_string(taken.port()) + "\"");
  file.write(text);
  const Json refused = reload(pgkeel, 1);
  CHECK_MESSAGE(refused["problems"][0].get<std::string>().find("Address already in use") != std::string::npos,
                refused.dump());
  file.write(file.with_instead("database = \"postgres\"", "database = \"postgres\", password_file = \"/nowhere\""));
  CHECK(reload(pgkeel, 1)["problems"][0].get<std::string>().find("/nowhere") != std::string::npos);
  std::string with_agent = file.original();
  const auto local = with_agent.find("local = ");
  REQUIRE(local != std::string::npos);
  file.write(with_agent.replace(
      local, with_agent.find('\n', local) - local,
      "agent = { url = \"https://127.0.0.1:1\", ca = \"/no/ca\", cert = \"/no/cert\", key = \"/no/key\" }"));
  const std::string no_certificate = reload(pgkeel, 1)["problems"][0].get<std::string>();
  CHECK_MESSAGE(no_certificate.find("cluster.test.node.a.agent: cannot open /no/ca") == 0, no_certificate);
  const VerbResult status = pgkeel.run_verb({"status"});
  CHECK_MESSAGE(status.output.find("the configuration on disk is not what runs") != std::string::npos, status.output);

  file.write(file.with("[proxy]", "hold_timeout = \"20s\"\nworkers = 5"));
  CHECK(reload(pgkeel, 0, {"--dry-run"})["changes"].size() == 2);
  CHECK(metric(pgkeel, "pgkeel_config_in_force") == 0);
  const VerbResult done = pgkeel.run_verb({"reload"});
  CHECK(done.exit_status == 0);
  CHECK_MESSAGE(done.output.find("proxy.workers: 0 -> 5  (waits for a restart)") != std::string::npos, done.output);
  CHECK_MESSAGE(done.output.find("proxy.hold_timeout: \"10s\" -> \"20s\"  (for new connections)") != std::string::npos,
                done.output);
  CHECK(metric(pgkeel, "pgkeel_config_in_force") == 1);
  CHECK(metric(pgkeel, "pgkeel_config_changes_waiting") == 1);
  CHECK(reload(pgkeel)["changes"].size() == 1);  // it waits still
  CHECK(session.value("SELECT 2") == "2");
}

TEST_CASE("random damage to the file is taken over as a whole, or not at all") {
  Cluster cluster(std::vector<std::string>{});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  const Config original = parse_config(file.original(), "f").value();
  const auto reloads = [&](const char* result) {
    return metric(pgkeel, std::string("pgkeel_config_reloads_total{result=\"") + result + "\"}");
  };
  std::size_t accepted = 0;
  for_seeds(30, [&](std::uint64_t seed) {
    Random random(seed);
    std::string text = file.original();
    if (random.one_in(3)) {
      random.damage(text);
    } else {
      const auto digit = text.find_first_of("0123456789", random.below(text.size()));
      if (digit != std::string::npos) text[digit] = static_cast<char>('1' + random.below(9));
    }
    file.write(text);
    const double taken = reloads("success");
    const double told = taken + reloads("refused");
    ::kill(pgkeel.pid(), SIGHUP);
    REQUIRE(wait_until([&] { return reloads("success") + reloads("refused") == told + 1; }));
    // What runs now is told by the way back.
    std::string expected;
    if (reloads("success") == taken + 1) {
      ++accepted;
      const Config runs = without_restart(original, parse_config(text, "f").value());
      for (const auto& change : config_changes(runs, original)) expected += change.path + "\n";
    }
    file.write(file.original());
    const Json answer = reload(pgkeel);
    std::string changed;
    for (const auto& change : answer["changes"]) changed += change["key"].get<std::string>() + "\n";
    CHECK(changed == expected);
  });
  CHECK(accepted > 0);
  cluster.require_normal("a");
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT 1") == "1");
}

TEST_CASE(
    "in the middle of a failover, which is held there: taken over or refused, and the failover goes on as it was") {
  PgkeelOptions options;
  options.detection_lines = {"restart_grace = \"0s\""};
  Cluster cluster({"b"}, options);
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  Writers writers(pgkeel.conninfo(), 4);
  REQUIRE(writers.wait_for_more(50));
  REQUIRE(pgkeel.wait_for([](const auto& now) { return (*find_node(now, "b"))["safe"] == true; }));

  // b answers, and does not become a primary: what it received is not replayed.
  const auto& b = cluster.server("b");
  const pid_t startup = std::stoi(b.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"));
  ::kill(startup, SIGSTOP);
  cluster.server("a").kill_tree();
  const bool held = pgkeel.wait_for([](const auto& now) { return now["phase"] == "promoting"; });
  CHECK_MESSAGE(held, pgkeel.describe());
  const auto state = [&] {
    const Json now = pgkeel.status();
    return std::tuple(now["phase"], now["epoch"], now["route"]);
  };
  const auto before = state();
  CHECK(std::get<2>(before).is_null());
  file.write(file.with("[cluster.test]", "drain_timeout = \"7s\"\nauto_rejoin = false"));
  CHECK(reload(pgkeel)["changes"].size() == 2);
  CHECK(state() == before);
  for (const char* node : {"a", "b"}) {
    CAPTURE(node);
    file.write(file.without_node(node));
    const std::string why = reload(pgkeel, 1)["problems"][0];
    CHECK_MESSAGE(why.find(node) != std::string::npos, why);
    CHECK(state() == before);
  }
  file.write(file.original());
  CHECK(reload(pgkeel)["changes"].size() == 2);
  CHECK(state() == before);
  ::kill(startup, SIGCONT);

  REQUIRE_MESSAGE(pgkeel.wait_normal("b"), pgkeel.describe());
  REQUIRE(writers.wait_for_more(50));
  writers.stop();
  CHECK(pgkeel.status()["epoch"] == std::get<1>(before));
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(cluster.server("b").conninfo()) == 0);
  cluster.check_roles("b");
}

TEST_CASE("in the middle of a switchover, which is held there by an open transaction: the same") {
  Cluster cluster({"b"}, {.cluster_lines = {"drain_timeout = \"5m\""}});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  Writers writers(pgkeel.conninfo(), 4);
  REQUIRE(writers.wait_for_more(50));
  SqlConnection open(pgkeel.conninfo());
  open.query("CREATE TABLE held (id int)");
  open.query("BEGIN");
  open.query("INSERT INTO held VALUES (1)");

  VerbResult verb;
  std::thread switchover([&] { verb = pgkeel.run_verb({"switchover", "test", "--to", "b", "--yes"}); });
  const bool drains = pgkeel.wait_for([](const auto& now) { return now["phase"] == "draining"; });
  CHECK_MESSAGE(drains, pgkeel.describe());
  const auto epoch = pgkeel.status()["epoch"];
  file.write(file.with("[cluster.test.detection]", "interval = \"400ms\"\nfailure_timeout = \"4s\""));
  CHECK(reload(pgkeel)["changes"].size() == 2);
  CHECK(pgkeel.status()["phase"] == "draining");
  for (const char* node : {"a", "b"}) {
    CAPTURE(node);
    file.write(file.without_node(node));
    const std::string why = reload(pgkeel, 1)["problems"][0];
    CHECK_MESSAGE(why.find(node) != std::string::npos, why);
    CHECK(pgkeel.status()["phase"] == "draining");
  }
  file.write(file.original());
  CHECK(reload(pgkeel)["changes"].size() == 2);
  CHECK(pgkeel.status()["phase"] == "draining");
  CHECK(pgkeel.status()["route"] == "a");
  open.query("COMMIT");  // lets go

  switchover.join();
  CHECK_MESSAGE(verb.exit_status == 0, (verb.output + verb.error_output));
  cluster.require_normal("b");
  CHECK(pgkeel.status()["epoch"] == epoch.get<int>() + 1);
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM held") == "1");
  // The primary stays what it is, with the way out.
  file.write(file.without_node("b"));
  CHECK(reload(pgkeel, 1)["problems"][0].get<std::string>().find("pgkeel switchover test") != std::string::npos);
  REQUIRE(writers.wait_for_more(50));
  writers.stop();
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(cluster.server("b").conninfo()) == 0);
  cluster.check_roles("b");
}
