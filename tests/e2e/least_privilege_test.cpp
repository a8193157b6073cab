// The roles that `pgkeel setup-sql` creates are enough for failover, follow, rewind and readiness, and no superusers.
#include <fstream>

#include "proxy/io/child_process.h"
#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> kRoles = {"monitor = { user = \"keel_monitor\", database = \"postgres\" }",
                                         "replication = { user = \"keel_repl\" }"};

ProgramResult outcome_of_setup_sql(const Cluster& cluster) {
  const auto script = cluster.pgkeel->run_verb({"setup-sql"});
  REQUIRE_MESSAGE(script.exit_status == 0, script.error_output);
  const auto ran = run_program(
      {.arguments = {bin_directory() + "/psql", "--no-psqlrc", "--quiet", "--dbname", cluster.server("a").conninfo()},
       .limit = 30s,
       .input = script.output});
  REQUIRE(ran.has_value());
  return *ran;
}

void run_setup_sql(const Cluster& cluster) {
  const auto ran = outcome_of_setup_sql(cluster);
  CAPTURE(ran.error_output);
  REQUIRE(ran.exit_status == 0);
}

// Who owns the schema, or a function in it, could have passwords read for himself.
void check_that_setup_sql_refuses(const Cluster& cluster, const std::string& what) {
  const auto refused = outcome_of_setup_sql(cluster);
  CAPTURE(refused.error_output);
  CHECK(refused.exit_status == 3);
  CHECK(refused.error_output.find(what + " is there already, and belongs to \"mallory\", who is no superuser") !=
        std::string::npos);
}

}  // namespace

TEST_CASE(
    "with the roles of setup-sql a failover, a follow and a rewind work, and check --live finds no privilege missing") {
  PgkeelOptions options;
  options.cluster_lines = kRoles;
  options.cluster_lines.emplace_back("durability = \"async\"");  // a standby that lacks something is promoted
  Cluster cluster({"b", "c"}, options, Cluster::Start::kLater);
  run_setup_sql(cluster);
  run_setup_sql(cluster);  // it may be run again
  cluster.pgkeel->start();
  cluster.require_normal("a");
  auto& a = cluster.server("a");
  CHECK(a.value("SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname LIKE 'keel%'") == "f");

  const auto checked = cluster.pgkeel->run_verb({"check", "--live"});
  CAPTURE(checked.output);
  CHECK(checked.exit_status == 0);
  CHECK(checked.output.find("lacks") == std::string::npos);

  // Of what is written now, the standbys miss what does not fit into their sockets: a has to be rewound.
  cluster.server("b").freeze_tree();
  cluster.server("c").freeze_tree();
  a.query("CREATE TABLE only_here AS SELECT generate_series(1, 1000000) AS id");
  a.kill_tree();
  cluster.server("b").thaw_tree();
  cluster.server("c").thaw_tree();
  REQUIRE_MESSAGE(
      cluster.pgkeel->wait_for([](const auto& now) { return now["condition"] == "normal" && now["route"] != "a"; }),
      cluster.pgkeel->describe());
  cluster.check_roles(cluster.pgkeel->status()["route"]);
  std::string outcome;
  for (const auto& event : cluster.pgkeel->events()) {
    if (event["text"].get<std::string>().starts_with("rejoin a: done")) outcome = event["text"];
  }
  CAPTURE(outcome);
  CHECK(outcome.find("by rewind") != std::string::npos);
}

TEST_CASE("setup-sql trusts no schema of somebody else; what a role lacks is named, with what mends it") {
  Cluster cluster({"b"}, {.proxy_lines = {}, .cluster_lines = kRoles, .detection_lines = {}}, Cluster::Start::kLater);
  auto& a = cluster.server("a");
  a.query("CREATE ROLE mallory");
  a.query(
      "CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS "
      "$$SELECT 'ALTER ROLE mallory SUPERUSER'::text$$");
  a.query("CREATE SCHEMA pgkeel AUTHORIZATION mallory");
  check_that_setup_sql_refuses(cluster, "the schema pgkeel");
  CHECK(a.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") == "f");
  a.query("ALTER SCHEMA pgkeel OWNER TO CURRENT_USER");
  a.query("CREATE FUNCTION pgkeel.scram_verifier(role_name text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'");
  a.query("ALTER FUNCTION pgkeel.scram_verifier(text) OWNER TO mallory");
  check_that_setup_sql_refuses(cluster, "the function pgkeel.scram_verifier(text)");
  a.query("DROP FUNCTION pgkeel.scram_verifier(text)");
  run_setup_sql(cluster);
  a.query("REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM keel_monitor");
  a.query("REVOKE pg_checkpoint FROM keel_monitor");
  a.query("REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo FROM keel_monitor");
  a.query("ALTER ROLE keel_repl NOREPLICATION");
  REQUIRE(a.wait_caught_up("b"));
  const auto checked = cluster.pgkeel->run_verb({"check", "--live"});
  CAPTURE(checked.output);
  CHECK(checked.exit_status == 1);
  for (const char* words : {"keel_monitor lacks pg_promote(boolean, integer): it cannot promote",
                            "keel_monitor lacks pg_checkpoint:", "keel_monitor lacks ALTER SYSTEM on primary_conninfo:",
                            "keel_repl lacks REPLICATION", "run the SQL of `pgkeel setup-sql` on the primary"}) {
    CAPTURE(words);
    CHECK(checked.output.find(words) != std::string::npos);
  }
}
