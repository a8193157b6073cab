// The read-only endpoint on real servers: where reads are led, and what its sessions see when their node falls behind,
// dies, or becomes the primary. And the write endpoint when its node comes back as a standby behind pgkeel's back.
#include <algorithm>
#include <fstream>
#include <map>
#include <memory>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// A primary a, standbys, and a read-only endpoint.
struct Readers {
  explicit Readers(const std::vector<std::string>& standbys, PgkeelOptions more = {})
      : port(free_port()), cluster(standbys, options(port, std::move(more))) {}

  static PgkeelOptions options(std::uint16_t port, PgkeelOptions more) {
    auto& lines = more.cluster_lines;
    lines.insert(lines.end(), {"listen_read_only = \"127.0.0.1:" + std::to_string(port) + "\"",
                               "durability = \"async\"", "max_read_lag = \"1s\""});
    more.detection_lines = {"interval = \"200ms\""};
    return more;
  }

  [[nodiscard]] std::string conninfo() const {
    return "host=127.0.0.1 port=" + std::to_string(port) + " user=postgres dbname=postgres connect_timeout=60";
  }

  struct Session {
    explicit Session(const std::string& conninfo)
        : sql(std::make_unique<SqlConnection>(conninfo)), node(sql->value("SHOW cluster_name")) {}
    std::unique_ptr<SqlConnection> sql;
    std::string node;
  };
  [[nodiscard]] Session connect() const { return Session(conninfo()); }
  [[nodiscard]] bool wait_leads_to(const std::vector<std::string>& nodes) const {
    return cluster.pgkeel->wait_for([&](const auto& now) { return takers(now) == nodes; });
  }
  static std::vector<std::string> takers(const nlohmann::json& status) {
    std::vector<std::string> names;
    for (const auto& node : status["read_only"]["nodes"]) {
      if (node["takes_new"]) names.push_back(node["name"]);
    }
    return names;
  }
  [[nodiscard]] bool wait_standing(const std::string& node, const std::string& standing) const {
    return cluster.pgkeel->wait_for([&](const auto& now) {
      return std::ranges::any_of(now["read_only"]["nodes"], [&](const auto& reader) {
        return reader["name"] == node && reader["standing"] == standing;
      });
    });
  }
  [[nodiscard]] std::string events() const { return cluster.pgkeel->events().dump(); }

  std::uint16_t port;
  Cluster cluster;
};

// The session has ended; what it was told.
SqlError end_of(SqlConnection& session) {
  try {
    session.query("SELECT 1");
  } catch (const SqlError& error) {
    return error;
  }
  FAIL("the session goes on");
  return SqlError("", "");
}

bool ended_by_pgkeel(const SqlError& error) {
  return error.sqlstate == "57P01" || error.notice_sqlstate == "57P01";
}

}  // namespace

TEST_CASE("reads are spread over the standbys, and leave those that fall behind or die") {
  Readers readers({"b", "c"});
  const Cluster& cluster = readers.cluster;
  REQUIRE_MESSAGE(readers.wait_leads_to({"b", "c"}), cluster.pgkeel->describe());
  std::map<std::string, std::vector<Readers::Session>> sessions;
  for (int count = 0; count < 6; ++count) {
    auto session = readers.connect();
    CHECK(session.sql->value("SELECT pg_is_in_recovery()") == "t");
    sessions[session.node].push_back(std::move(session));
  }
  CHECK(sessions["b"].size() == 3);
  CHECK(sessions["c"].size() == 3);
  CHECK(cluster.pgkeel->metrics().find("pgkeel_read_only_sessions{cluster=\"test\",node=\"b\"} 3") !=
        std::string::npos);
  const auto status = cluster.pgkeel->run_verb({"status"});
  CHECK(status.output.find("-> b (3), c (3); 6 clients, 0 held") != std::string::npos);

  // b replays no more. On an idle primary it lacks nothing.
  cluster.server("b").query("SELECT pg_wal_replay_pause()");
  Writers writers(cluster.pgkeel->conninfo(), 1);
  REQUIRE_MESSAGE(readers.wait_standing("b", "behind"), cluster.pgkeel->describe());
  CHECK(readers.connect().node == "c");
  CHECK(readers.connect().node == "c");
  CHECK(sessions["b"].front().sql->value("SELECT 1") == "1");
  // For good: its sessions end.
  REQUIRE_MESSAGE(readers.wait_standing("b", "excluded"), cluster.pgkeel->describe());
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["read_only"]["sessions"]["established"] == 3; }));
  for (auto& session : sessions["b"]) CHECK(ended_by_pgkeel(end_of(*session.sql)));
  for (auto& session : sessions["c"]) CHECK(session.sql->value("SELECT 1") == "1");
  CHECK(readers.events().find("sessions of the read-only endpoint at b end: b is ") != std::string::npos);
  cluster.server("b").query("SELECT pg_wal_replay_resume()");
  REQUIRE_MESSAGE(readers.wait_leads_to({"b", "c"}), cluster.pgkeel->describe());
  writers.stop();

  // c dies, and is started again by pgkeel.
  cluster.server("c").kill_tree();
  for (auto& session : sessions["c"]) CHECK(ended_by_pgkeel(end_of(*session.sql)));
  auto moved = readers.connect();
  CHECK(moved.sql->value("SELECT pg_is_in_recovery()") == "t");
  REQUIRE_MESSAGE(readers.wait_leads_to({"b", "c"}), cluster.pgkeel->describe());

  // A failover ends the sessions of the epoch; the clients find the standbys of the new primary.
  auto before = readers.connect();
  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
    return now["route"].is_string() && now["route"] != "a" && now["condition"] == "normal";
  }),
                  cluster.pgkeel->describe());
  CHECK(ended_by_pgkeel(end_of(*before.sql)));
  const std::string primary = cluster.pgkeel->status()["route"];
  std::vector<std::string> standbys = {"a", "b", "c"};
  std::erase(standbys, primary);
  REQUIRE_MESSAGE(readers.wait_leads_to(standbys), cluster.pgkeel->describe());
  auto after = readers.connect();
  CHECK(after.node != primary);
  CHECK(after.sql->value("SELECT pg_is_in_recovery()") == "t");
}

TEST_CASE("without a standby the primary is read from, and without a primary clients are held") {
  Readers readers({"b"}, {.proxy_lines = {"hold_timeout = \"3s\""},
                          .cluster_lines = {"failover = \"manual\"", "auto_rejoin = false"}});
  const Cluster& cluster = readers.cluster;
  REQUIRE_MESSAGE(readers.wait_leads_to({"b"}), cluster.pgkeel->describe());
  auto at_standby = readers.connect();
  CHECK(at_standby.node == "b");
  cluster.server("b").stop("fast");
  CHECK(ended_by_pgkeel(end_of(*at_standby.sql)));
  auto at_primary = readers.connect();
  CHECK(at_primary.node == "a");
  REQUIRE_MESSAGE(readers.wait_leads_to({"a"}), cluster.pgkeel->describe());
  cluster.server("b").start();
  REQUIRE_MESSAGE(readers.wait_leads_to({"b"}), cluster.pgkeel->describe());
  CHECK(readers.connect().node == "b");
  CHECK(at_primary.sql->value("SELECT 1") == "1");

  // The primary comes back as a standby of nobody, behind pgkeel's back: no client of the write endpoint gets there.
  SqlConnection writing(cluster.pgkeel->conninfo());
  writing.query("CREATE TABLE t(x int)");
  cluster.server("a").stop("fast");
  std::ofstream(cluster.server("a").data_directory() + "/standby.signal");
  cluster.server("a").start();
  CHECK(ended_by_pgkeel(end_of(writing)));
  CHECK(ended_by_pgkeel(end_of(*at_primary.sql)));
  const auto error = [&] {
    try {
      SqlConnection unlucky(cluster.pgkeel->conninfo());
      unlucky.query("INSERT INTO t VALUES (1)");
    } catch (const SqlError& refused) {
      return std::string(refused.what());
    }
    return std::string();
  }();
  CHECK(error.find("could not connect") != std::string::npos);
  CHECK(error.find("read-only transaction") == std::string::npos);
  REQUIRE_MESSAGE(readers.wait_leads_to({}), cluster.pgkeel->describe());
}
