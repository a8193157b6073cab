// Readiness, found on real servers: `pgkeel check --live`, and the same inside `pgkeel serve`.
#include <filesystem>
#include <fstream>

#include "proxy/io/child_process.h"
#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Looked {
  int exit_status = 0;
  nlohmann::json readiness;

  // "error", "warning" or "notice"; empty: not found.
  [[nodiscard]] std::string severity(const std::string& rule, const std::string& node) const {
    for (const auto& finding : readiness["findings"]) {
      if (finding["rule"] == rule && finding["node"] == node) return finding["severity"];
    }
    return "";
  }
  [[nodiscard]] bool failover_would_work() const { return readiness["failover_would_work"]; }
  [[nodiscard]] bool rejoin_would_work() const { return readiness["rejoin_would_work"]; }
};

Looked look(const Cluster& cluster) {
  const auto checked = cluster.pgkeel->run_verb({"check", "--live", "--json"});
  const auto document = nlohmann::json::parse(checked.output, nullptr, false);
  if (!document.is_object()) throw std::runtime_error(checked.output + checked.error_output);
  return {checked.exit_status, document["clusters"][0]["readiness"]};
}

void overwrite(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("a cluster in order is ready") {
  const Cluster cluster({"b", "c"});
  const auto checked = cluster.pgkeel->run_verb({"check", "--live"});
  CAPTURE(checked.output);
  CHECK(checked.exit_status == 0);
  CHECK(checked.output.find("test: ready: a failover and a rejoin would work now") != std::string::npos);
}

TEST_CASE("what stands in the way of a failover or a rejoin is found, node by node") {
  Cluster cluster;
  auto& a = cluster.server("a");
  auto& b = cluster.server("b");

  b.query("SELECT pg_wal_replay_pause()");
  b.query("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
  b.query("SELECT pg_reload_conf()");
  a.query("ALTER ROLE postgres SET synchronous_commit = off");
  a.query("ALTER SYSTEM SET wal_sender_timeout = 0");
  a.query("ALTER SYSTEM SET max_worker_processes = 77");
  a.query("SELECT pg_reload_conf()");
  auto looked = look(cluster);
  CHECK(looked.exit_status == 1);
  CHECK_FALSE(looked.failover_would_work());
  CHECK(looked.rejoin_would_work());
  CHECK(looked.severity("recovery_min_apply_delay", "b") == "error");
  CHECK(looked.severity("replay_paused", "b") == "warning");     // its promotion ends that
  CHECK(looked.severity("synchronous_commit", "a") == "error");  // what it writes escapes durability = available
  CHECK(looked.severity("wal_sender_timeout", "a") == "warning");
  CHECK(looked.severity("pending_restart", "a") == "warning");

  b.query("SELECT pg_wal_replay_resume()");
  b.query("ALTER SYSTEM RESET recovery_min_apply_delay");
  overwrite(b.data_directory() + "/pg_hba.conf",
            "local all all trust\nhost replication pgkeel_repl 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n");
  b.query("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return look(cluster).severity("replication_login", "b") == "error"; }));
  looked = look(cluster);
  CHECK(looked.failover_would_work());
  CHECK_FALSE(looked.rejoin_would_work());
  CHECK(looked.severity("pg_hba", "b") == "error");
  CHECK(looked.severity("replay_paused", "b").empty());

  b.query("ALTER SYSTEM SET max_connections = 140");
  b.stop("fast");
  looked = look(cluster);
  CHECK(looked.severity("reachable", "b") == "error");
  CHECK_FALSE(looked.failover_would_work());
  b.start();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  CHECK(look(cluster).severity("standby_limits", "a") == "error");
}

TEST_CASE("a wrong password, a missing program and a missing file are found") {
  Cluster cluster({"b"},
                  {.proxy_lines = {},
                   .cluster_lines = {"replication = { user = \"pgkeel_repl\", password_file = \"/etc/hostname\" }"},
                   .detection_lines = {}});
  auto& a = cluster.server("a");
  a.query("ALTER ROLE pgkeel_repl PASSWORD 'right'");
  overwrite(a.data_directory() + "/pg_hba.conf",
            "local all all trust\nhost replication pgkeel_repl 127.0.0.1/32 scram-sha-256\n"
            "host all pgkeel_repl 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
  a.query("ALTER SYSTEM SET ident_file = '" + a.data_directory() + "/gone.conf'");
  a.query("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return look(cluster).severity("replication_login", "a") == "error"; }));
  const auto looked = look(cluster);
  CHECK(looked.severity("rewind_login", "a") == "warning");
  CHECK(looked.severity("replication_login", "b").empty());
  bool names_the_password_file = false;
  for (const auto& finding : looked.readiness["findings"])
    names_the_password_file |= finding["remedy"] == "put the password of pgkeel_repl into /etc/hostname";
  CHECK(names_the_password_file);
  CHECK(looked.severity("trust", "a") == "warning");
}

TEST_CASE("who streams under a standby's name is found") {
  Cluster cluster;
  auto& a = cluster.server("a");
  const std::string folder = cluster.folder.path() + "/received";
  std::filesystem::create_directory(folder);
  const auto impostor =
      BackgroundProcess::start({bin_directory() + "/pg_receivewal", "--directory", folder, "--no-sync", "--dbname",
                                a.conninfo("pgkeel_repl", "replication") + " application_name=b"},
                               cluster.folder.path() + "/pg_receivewal.log");
  REQUIRE(impostor.has_value());
  REQUIRE(wait_until([&] { return a.value("SELECT count(*) FROM pg_stat_replication") == "2"; }));
  CHECK(look(cluster).severity("impostor", "b") == "error");
}

TEST_CASE("pgkeel serve tells what it finds, and when it is mended") {
  Cluster cluster;
  auto& pgkeel = *cluster.pgkeel;
  pgkeel.terminate();
  cluster.server("b").query("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
  cluster.server("b").query("SELECT pg_reload_conf()");
  pgkeel.start();
  REQUIRE_MESSAGE(pgkeel.wait_for([](const auto& now) {
    return now["readiness"].is_object() && now["readiness"]["failover_would_work"] == false;
  }),
                  pgkeel.describe());
  const auto told = [&](const std::string& begin) {
    for (const auto& event : pgkeel.events()) {
      if (event["text"].get<std::string>().starts_with(begin)) return true;
    }
    return false;
  };
  CHECK(told("readiness: b: it is kept 60m behind"));
  CHECK(pgkeel.run_verb({"status"}).output.find("a failover WOULD NOT WORK") != std::string::npos);
  const std::string metrics = pgkeel.metrics();
  CHECK(metrics.find("pgkeel_ready_for_failover{cluster=\"test\"} 0") != std::string::npos);
  CHECK(metrics.find("pgkeel_readiness_findings{cluster=\"test\",severity=\"error\"} 1") != std::string::npos);

  cluster.server("b").query("ALTER SYSTEM RESET recovery_min_apply_delay");
  cluster.server("b").query("SELECT pg_reload_conf()");
  REQUIRE_MESSAGE(pgkeel.wait_for([](const auto& now) { return now["readiness"]["failover_would_work"] == true; }, 90s),
                  pgkeel.describe());
  CHECK(told("readiness: mended: b: it is kept 60m behind"));
}
