// Clients that connect while there is no primary, too many of them, and those that may not.
#include <algorithm>
#include <cstdint>
#include <poll.h>
#include <string>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include "proxy/io/durable_file.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/support/raw_client.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

// The primary has crashed, and the standby replaces it when an operator says so: resume().
struct Outage {
  explicit Outage(std::vector<std::string> proxy_lines)
      : cluster(
            {"b"},
            {.proxy_lines = std::move(proxy_lines), .cluster_lines = {"failover = \"manual\""}, .local_nodes = false}) {
  }

  void begin() {
    cluster.server("a").kill_tree();
    REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["route"].is_null(); }),
                    cluster.pgkeel->describe());
  }
  void resume() const {
    const auto verb = cluster.pgkeel->run_verb({"failover", "test", "--accept-loss", "--yes"});
    REQUIRE_MESSAGE(verb.exit_status == 0, verb.error_output);
  }
  // A client that has said what it wants, and waits.
  [[nodiscard]] Connection ask_to_connect() const {
    Connection client(PQconnectStart(cluster.pgkeel->conninfo().c_str()), PQfinish);
    REQUIRE(wait_until([&] {
      return PQconnectPoll(client.get()) == PGRES_POLLING_READING &&
             PQstatus(client.get()) == CONNECTION_AWAITING_RESPONSE;
    }));
    return client;
  }
  [[nodiscard]] bool wait_held(std::size_t count) const {
    return cluster.pgkeel->wait_for([&](const auto& now) { return now["sessions"]["held"] == count; });
  }

  Cluster cluster;
};

}  // namespace

TEST_CASE("clients that connect while there is no primary are held, and then work on the new one without an error") {
  Outage outage({"hold_timeout = \"60s\""});
  const auto port = outage.cluster.pgkeel->port();
  outage.begin();
  std::vector<Connection> clients;
  for (int count = 0; count < 20; ++count) clients.push_back(outage.ask_to_connect());
  RawClient raw(port);
  REQUIRE_MESSAGE(outage.wait_held(clients.size() + 1), outage.cluster.pgkeel->describe());
  CHECK_FALSE(raw.peer().has_something_to_read());

  outage.resume();
  for (const auto& client : clients) {
    PostgresPollingStatusType polled = PGRES_POLLING_READING;
    CHECK(wait_until([&] {
      polled = PQconnectPoll(client.get());
      return polled == PGRES_POLLING_OK || polled == PGRES_POLLING_FAILED;
    }));
    CHECK_MESSAGE(polled == PGRES_POLLING_OK, PQerrorMessage(client.get()));
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(client.get(), "CREATE TEMP TABLE t ()"), PQclear);
    CHECK_MESSAGE(PQresultStatus(result.get()) == PGRES_COMMAND_OK, PQerrorMessage(client.get()));
  }
  const auto login = raw.log_in();
  CHECK(login.back().type == 'Z');
  for (const auto& heard : login) CHECK((heard.type != 'E' && heard.type != 'N'));
  const auto is_recorded = [&] {
    const auto record = outage.cluster.pgkeel->decisions("failover").back();
    return record["clients"]["held"] == clients.size() + 1 && record["clients"]["released"] == clients.size() + 1;
  };
  CHECK_MESSAGE(wait_until(is_recorded), outage.cluster.pgkeel->decisions("failover").back().dump(2));
}

TEST_CASE("hundreds that wait for the new primary get there in the order in which they came") {
  constexpr std::size_t kClients = 300;
  Outage outage({"hold_timeout = \"60s\"", "login_rate = 100"});
  outage.begin();
  std::vector<Connection> clients;
  std::vector<pollfd> open;
  for (std::size_t number = 0; number < kClients; ++number) {
    clients.push_back(outage.ask_to_connect());
    open.push_back({.fd = PQsocket(clients.back().get()), .events = POLLIN, .revents = 0});
  }
  REQUIRE_MESSAGE(outage.wait_held(kClients), outage.cluster.pgkeel->describe());
  outage.resume();

  // The postmaster gives its processes increasing numbers in the order in which it accepts; those of the kernel begin
  // anew at their greatest.
  std::vector<std::pair<std::uint64_t, std::size_t>> servers;
  const Instant began = monotonic_now();
  while (servers.size() < kClients && ::poll(open.data(), open.size(), 60'000) > 0) {
    for (std::size_t number = 0; number < kClients; ++number) {
      if (open[number].fd < 0 || open[number].revents == 0) continue;
      const auto polled = PQconnectPoll(clients[number].get());
      if (polled == PGRES_POLLING_READING) continue;
      open[number].fd = -1;
      REQUIRE_MESSAGE(polled == PGRES_POLLING_OK, PQerrorMessage(clients[number].get()));
      servers.emplace_back(static_cast<std::uint64_t>(PQbackendPID(clients[number].get())), number);
      clients[number].reset();
    }
  }
  const auto took = monotonic_now() - began;
  REQUIRE(servers.size() == kClients);
  CHECK(took > 2s);  // at login_rate
  const std::uint64_t processes = std::stoul(read_file("/proc/sys/kernel/pid_max").value());
  const std::uint64_t first =
      std::ranges::find(servers, std::size_t{0}, &std::pair<std::uint64_t, std::size_t>::second)->first;
  for (auto& server : servers) server.first = (server.first + processes + processes / 4 - first) % processes;
  std::ranges::sort(servers);
  std::size_t displaced_most = 0;
  for (std::size_t place = 0; place < kClients; ++place) {
    const std::size_t number = servers[place].second;
    displaced_most = std::max(displaced_most, place > number ? place - number : number - place);
  }
  // As many may be under way at a time, and come through in any order.
  CHECK(displaced_most <= 16);
  MESSAGE("the last of " << kClients << " was through after " << format_duration(took)
                         << "; nobody was further from its place than " << displaced_most);
}

TEST_CASE("a client whose login had gone too far for a repetition gets 08001 when the primary crashes") {
  Cluster cluster;
  cluster.server("a").query("CREATE ROLE scram LOGIN PASSWORD 'secret'");
  const std::string hba = cluster.server("a").data_directory() + "/pg_hba.conf";
  cluster.server("a").query(
      "COPY (SELECT 'host all scram all scram-sha-256' UNION ALL SELECT 'host all all all trust'"
      " UNION ALL SELECT 'host replication all all trust' UNION ALL SELECT 'local all all trust')"
      " TO '" +
      hba + "'");
  cluster.server("a").query("SELECT pg_reload_conf()");
  RawClient client(cluster.pgkeel->port(), {{"user", "scram"}});
  const auto challenge = client.next();
  CHECK(challenge.type == 'R');
  CHECK(challenge.body.substr(4).starts_with("SCRAM-SHA-256"));
  cluster.server("a").kill_tree();
  const auto words = client.rest();
  REQUIRE(words.size() == 1);
  CHECK(words.front().type == 'E');
  CHECK(words.front().field('S') == "FATAL");
  CHECK(words.front().field('C') == "08001");
  CHECK(words.front().field('H').find("same address") != std::string::npos);
}

TEST_CASE("where nothing can be promoted, a client that connects gets 08001 after hold_timeout") {
  Outage outage({"hold_timeout = \"1s\""});
  outage.begin();
  const Instant began = monotonic_now();
  RawClient client(outage.cluster.pgkeel->port());
  const auto words = client.rest();
  CHECK(monotonic_now() - began >= 1s);
  CHECK_FALSE(client.peer().ended_by_reset());
  REQUIRE(words.size() == 1);
  CHECK(words.front().type == 'E');
  CHECK(words.front().field('S') == "FATAL");
  CHECK(words.front().field('C') == "08001");
  CHECK(words.front().field('M').find("hold_timeout") != std::string::npos);
  CHECK(words.front().field('M').find("a failed") != std::string::npos);
  CHECK(words.front().field('H').find("same address") != std::string::npos);

  const Connection libpq(PQconnectdb(outage.cluster.pgkeel->conninfo().c_str()), PQfinish);
  CHECK(PQstatus(libpq.get()) == CONNECTION_BAD);
  CHECK(std::string(PQerrorMessage(libpq.get())).find("hold_timeout") != std::string::npos);

  outage.resume();
  REQUIRE_MESSAGE(outage.cluster.pgkeel->wait_for([](const auto& now) { return now["route"] == "b"; }),
                  outage.cluster.pgkeel->describe());
  CHECK(SqlConnection(outage.cluster.pgkeel->conninfo()).value("SELECT pg_is_in_recovery()") == "f");
}

TEST_CASE("no_route = refuse: connections are refused while there is no primary, and taken again after") {
  Outage outage({"no_route = \"refuse\""});
  const auto port = outage.cluster.pgkeel->port();
  RawClient idle(port);
  REQUIRE(idle.log_in().back().type == 'Z');
  outage.begin();
  CHECK(idle.rest().back().field('C') == "57P01");
  CHECK(wait_until([&] { return !Peer::can_connect_to(port); }));

  // A driver with several hosts goes to the next one: here to the standby, at once.
  SqlConnection next_host("host=127.0.0.1,127.0.0.1 port=" + std::to_string(port) + "," +
                          std::to_string(outage.cluster.server("b").port()) + " user=postgres dbname=postgres");
  CHECK(next_host.value("SELECT pg_is_in_recovery()") == "t");

  outage.resume();
  REQUIRE(wait_until([&] { return Peer::can_connect_to(port); }));
  CHECK(SqlConnection(outage.cluster.pgkeel->conninfo()).value("SELECT pg_is_in_recovery()") == "f");
}

TEST_CASE("one client more than max_client_connections gets 53300, and its place is free again when one leaves") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  PgkeelProcess pgkeel(folder, {server.get()}, {.proxy_lines = {"max_client_connections = 2"}});
  pgkeel.start();
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }));
  RawClient first(pgkeel.port());
  auto second = std::make_unique<RawClient>(pgkeel.port());
  REQUIRE(first.log_in().back().type == 'Z');
  REQUIRE(second->log_in().back().type == 'Z');
  RawClient third(pgkeel.port());
  const auto words = third.rest();
  REQUIRE(words.size() == 1);
  CHECK(words.front().field('S') == "FATAL");
  CHECK(words.front().field('C') == "53300");
  CHECK_FALSE(third.peer().ended_by_reset());
  second.reset();
  CHECK(wait_until([&] { return RawClient(pgkeel.port()).log_in().back().type == 'Z'; }));
}

TEST_CASE("a client whose network is not in allow gets 28000") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  PgkeelProcess pgkeel(folder, {server.get()}, {.cluster_lines = {"allow = [\"10.0.0.0/8\"]"}});
  pgkeel.start();
  REQUIRE(pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }));
  RawClient client(pgkeel.port());
  const auto words = client.rest();
  REQUIRE(words.size() == 1);
  CHECK(words.front().field('S') == "FATAL");
  CHECK(words.front().field('C') == "28000");
  CHECK(words.front().field('M').find("127.0.0.1") != std::string::npos);
}
