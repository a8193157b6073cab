// What a reload does beside a restart in place, and what it tells the service manager.
#include "proxy/handover/takeover.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/service_manager.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

std::string first_problem(const Json& answer) {
  return answer["problems"].empty() ? std::string() : answer["problems"][0].get<std::string>();
}

std::string text_of_other_cluster(const PostgresServer& server, std::uint16_t port) {
  return "[cluster.other]\nlisten = \"127.0.0.1:" + std::to_string(port) +
         "\"\nmonitor = { user = \"pgkeel\", database = \"postgres\" }\n[[cluster.other.node]]\nname = \"" +
         server.name() + "\"\nhost = \"" + server.address() + "\"\nport = " + std::to_string(server.port()) + "\n";
}

}  // namespace

TEST_CASE("while another process takes over a reload is refused, and works where that one gave up") {
  Cluster cluster(std::vector<std::string>{});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  file.write(file.with("[proxy]", "login_rate = 50"));
  {
    auto takeover = Takeover::begin(pgkeel.state_directory());
    REQUIRE(takeover);
    REQUIRE(takeover->has_value());
    const std::string problem = first_problem(reload(pgkeel, 1));
    CHECK_MESSAGE(problem.find("a restart in place is under way") != std::string::npos, problem);
    CHECK(metric(pgkeel, "pgkeel_config_in_force") == 0);
  }
  REQUIRE(wait_until([&] { return process_of(pgkeel).value("handovers_failed", -1) == 1; }));
  CHECK(reload(pgkeel)["changes"].size() == 1);
  CHECK(metric(pgkeel, "pgkeel_config_in_force") == 1);
}

TEST_CASE("a cluster comes and goes beside a former process, which knows nothing of it") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  Cluster cluster({"b"}, {.cluster_lines = {certificates.client_tls("allow")}});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  SqlConnection stays_behind(pgkeel.conninfo("sslmode=require"));
  stays_behind.query("begin");
  Successor next(pgkeel);
  REQUIRE(wait_serves(pgkeel, next.pid()));
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["draining_sessions"] == 1; }));

  auto server = PostgresServer::primary(folder, "x");
  const std::uint16_t port = free_port();
  file.write(file.original() + text_of_other_cluster(*server, port));
  reload(pgkeel);
  REQUIRE(wait_until([&] { return pgkeel.status("other").value("route", Json()) == "x"; }));
  const std::string address = "host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(port);
  CHECK(SqlConnection(address).value("SELECT 1") == "1");
  CHECK(stays_behind.value("SELECT 1") == "1");

  // The route of the old one goes to the former process too, the new one's did not disturb it.
  file.write(file.original());
  const std::string problem = first_problem(reload(pgkeel, 1));
  CHECK_MESSAGE(problem.find("cluster.other: cannot be removed while sessions of it may be left") == 0, problem);
  stays_behind.query("commit");
  REQUIRE(wait_alone(pgkeel));
  CHECK(reload(pgkeel)["changes"].size() == 1);
  CHECK(pgkeel.status("other").is_null());
  CHECK_THROWS_AS(SqlConnection{address}, SqlError);
  CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT 1") == "1");
}

TEST_CASE("the service manager keeps the sockets that are listened at, and no other") {
  Cluster cluster(std::vector<std::string>{}, {}, Cluster::Start::kLater);
  ServiceManagerOfTest manager(cluster.folder.path() + "/notify");
  auto& pgkeel = *cluster.pgkeel;
  pgkeel.start();
  cluster.require_normal("a");
  const ConfigFile file(pgkeel);
  const std::string name = "cluster-test";
  using Ports = std::vector<std::uint16_t>;
  REQUIRE(wait_until([&] { return manager.kept(name) == Ports{pgkeel.port()}; }));
  CHECK(manager.kept("admin") == Ports{pgkeel.admin_port()});

  const std::uint16_t other = free_port();
  file.write(file.with_instead(":" + std::to_string(pgkeel.port()) + "\"", ":" + std::to_string(other) + "\"") +
             text_of_other_cluster(cluster.server("a"), free_port()));
  CHECK(pgkeel.run_verb({"reload"}).exit_status == 1);  // one server in two clusters: nothing has changed
  CHECK(manager.kept(name) == Ports{pgkeel.port()});

  auto server = PostgresServer::primary(cluster.folder, "x");
  const std::uint16_t port_of_new = free_port();
  file.write(file.with_instead(":" + std::to_string(pgkeel.port()) + "\"", ":" + std::to_string(other) + "\"") +
             text_of_other_cluster(*server, port_of_new));
  reload(pgkeel);
  CHECK(manager.kept(name) == Ports{other});
  CHECK(manager.kept("cluster-other") == Ports{port_of_new});
  CHECK(manager.kept("admin") == Ports{pgkeel.admin_port()});

  file.write(file.original());
  reload(pgkeel);
  CHECK(manager.kept(name) == Ports{pgkeel.port()});
  CHECK(manager.kept("cluster-other").empty());
}
