// Work on servers while pgkeel looks on: maintenance of the cluster and of one node, and the whole cluster stopped.
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

void check_done(const VerbResult& verb) {
  INFO(verb.output);
  INFO(verb.error_output);
  CHECK(verb.exit_status == 0);
}

}  // namespace

TEST_CASE("under maintenance a restart by hand is no failover, and each node can be taken out, mended and taken back") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  constexpr std::size_t kWriters = 2;
  Writers writers(pgkeel.conninfo(), kWriters);
  REQUIRE(writers.wait_for_more(20));

  check_done(pgkeel.run_verb({"maintenance", "on", "test", "--yes"}));
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["condition"] == "maintenance"; }));
  const std::string status = pgkeel.run_verb({"status"}).output;
  CHECK(status.find("maintenance: the whole cluster since") != std::string::npos);
  CHECK(status.find("a failover would work") == std::string::npos);
  CHECK(pgkeel.metrics().find("pgkeel_maintenance_since_timestamp_seconds{cluster=\"test\"}") != std::string::npos);
  cluster.server("a").stop("fast");
  // … not even by a pgkeel that is started anew meanwhile.
  cluster.pgkeel->kill();
  cluster.pgkeel->start();
  REQUIRE(pgkeel.wait_for([](const auto& now) {
    return now["route"].is_null() && now["summary"].template get<std::string>().find("a failed") != std::string::npos;
  }));
  CHECK(pgkeel.status()["summary"].get<std::string>().find("under maintenance") != std::string::npos);
  cluster.server("a").start();
  REQUIRE_MESSAGE(writers.wait_for_more(20), pgkeel.describe());
  CHECK(pgkeel.status()["epoch"] == 1);
  CHECK_FALSE(cluster.server("b").is_primary());
  check_done(pgkeel.run_verb({"maintenance", "off", "test", "--yes"}));
  cluster.require_normal("a");

  const auto primary = pgkeel.run_verb({"maintenance", "on", "test", "a", "--yes"});
  CHECK(primary.exit_status == 1);
  CHECK(primary.error_output.find("pgkeel switchover") != std::string::npos);
  for (const auto& [in, out] : {std::pair("a", "b"), std::pair("b", "a")}) {
    CAPTURE(out);
    check_done(pgkeel.run_verb({"maintenance", "on", "test", out, "--yes"}));
    CHECK(cluster.server(in).value("SHOW synchronous_standby_names") == "");
    cluster.server(out).stop("fast");
    REQUIRE_MESSAGE(writers.wait_for_more(20), pgkeel.describe());
    cluster.server(out).start();
    check_done(pgkeel.run_verb({"maintenance", "off", "test", out, "--yes"}));
    cluster.require_normal(in);
    check_done(pgkeel.run_verb({"switchover", "test", "--to", out, "--yes"}));
    cluster.require_normal(out);
  }
  writers.stop();
  CHECK(writers.count_lost(cluster.server("a").conninfo()) == 0);
  // One interruption by hand, at which pgkeel was killed too, and two switchovers.
  CHECK(most_route_errors_of_one(writers) <= 3);
  CHECK(pgkeel.status()["failovers"] == 0);
  cluster.check_roles("a");
}

TEST_CASE("a cluster that is stopped says so to its clients, and starts again with the same primary") {
  Cluster cluster;
  const auto& pgkeel = *cluster.pgkeel;
  SqlConnection(pgkeel.conninfo()).query("CREATE TABLE kept AS SELECT 1 AS id");
  check_done(pgkeel.run_verb({"stop", "test", "--yes"}));
  CHECK_FALSE(cluster.server("a").is_running());
  CHECK_FALSE(cluster.server("b").is_running());
  CHECK(pgkeel.status()["condition"] == "stopped");
  try {
    SqlConnection refused(pgkeel.conninfo());
    FAIL("a stopped cluster took a connection");
  } catch (const SqlError& error) {
    const std::string said = error.what();
    CHECK(said.find("an operator stopped the cluster") != std::string::npos);
  }
  CHECK(pgkeel.wait_for([](const auto& now) { return now["sessions"]["errors_by_sqlstate"].value("57P03", 0) >= 1; }));

  // pgkeel is started again meanwhile: nothing comes up by itself.
  cluster.pgkeel->terminate();
  cluster.pgkeel->start();
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["condition"] == "stopped"; }));
  CHECK(pgkeel.run_verb({"failover", "test", "--yes"}).exit_status == 1);

  check_done(pgkeel.run_verb({"start", "test", "--yes"}));
  cluster.require_normal("a");
  cluster.check_roles("a");
  CHECK(cluster.server("a").value("SELECT timeline_id FROM pg_control_checkpoint()") == "1");
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT count(*) FROM kept") == "1");
}
