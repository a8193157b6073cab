#include "health/monitor.h"

#include <array>
#include <fstream>
#include <sys/resource.h>
#include <thread>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/support/postgres_server.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Quick enough for a test, slow enough for a machine that does other things too.
DetectionConfig quick_detection() {
  DetectionConfig detection;
  detection.interval = 100ms;
  detection.probe_timeout = 300ms;
  detection.failure_timeout = 900ms;
  detection.restart_grace = 300ms;
  return detection;
}

enum class Nodes { kLocal, kRemote };

struct Watched {
  explicit Watched(std::vector<const PostgresServer*> servers, Nodes nodes = Nodes::kRemote,
                   DetectionConfig detection = quick_detection()) {
    cluster.name = "test";
    cluster.detection = detection;
    for (const auto* server : servers) {
      auto& node = cluster.nodes.emplace_back(server->node());
      if (nodes == Nodes::kRemote) node.local.reset();
    }
  }

  void start() {
    monitor = std::make_unique<Monitor>(
        loop, cluster, [this] { changes += 1; }, [this](const std::string&) { return link_bytes(); });
    monitor->start();
  }

  Monitor::NodeHealth health(const std::string& node = "a") const { return monitor->health(node, monotonic_now()); }
  Liveness liveness(const std::string& node = "a") const { return health(node).suspicion.liveness; }

  [[nodiscard]] bool comes_to(Liveness liveness, const std::string& node = "a") {
    return run_until(loop, [&] { return this->liveness(node) == liveness; });
  }
  // Another probe, begun from now on, has ended.
  [[nodiscard]] bool probes_again(const std::string& node = "a") {
    const auto from = monotonic_now();
    return run_until(loop, [&] {
      const auto last = health(node).last;
      return last && last->started_at >= from;
    });
  }

  Result<SqlRows, pgkeel::SqlError> sql(const std::string& text, bool apart = false, Duration limit = 20s) {
    std::optional<Result<SqlRows, pgkeel::SqlError>> answer;
    const auto take = [&](Result<SqlRows, pgkeel::SqlError> result) { answer = std::move(result); };
    if (apart) {
      monitor->run_sql_apart("a", text, limit, take);
    } else {
      monitor->run_sql("a", text, limit, take);
    }
    CHECK_FALSE(answer.has_value());
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    return *answer;
  }
  std::string value(const std::string& text, bool apart = false) {
    const auto answer = sql(text, apart);
    REQUIRE(answer.has_value());
    REQUIRE(answer->rows.size() == 1);
    return answer->rows[0][0].value_or("");
  }

  Loop loop;
  ClusterConfig cluster;
  int changes = 0;
  std::function<Instant()> link_bytes = [] { return Instant{}; };
  std::unique_ptr<Monitor> monitor;
};

}  // namespace

TEST_CASE("a primary and its standby are alive, with facts, and a promotion shows") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  Watched watched({primary.get(), standby.get()});
  watched.start();
  CHECK(watched.liveness() == Liveness::kUnknown);
  CHECK(watched.changes == 0);
  REQUIRE(watched.comes_to(Liveness::kAlive, "a"));
  REQUIRE(watched.comes_to(Liveness::kAlive, "b"));
  CHECK(watched.changes > 0);
  const auto health = watched.health("b");
  REQUIRE(health.last_answered.has_value());
  CHECK(health.last_answered->facts->in_recovery);
  CHECK(health.last_answered->facts->timeline_history_known);
  CHECK(health.probes > 0);
  CHECK(health.failed_probes == 0);
  CHECK(health.last_probe_duration > 0s);
  CHECK_FALSE(watched.health("a").last_answered->facts->in_recovery);

  standby->query("SELECT pg_promote()");
  REQUIRE(run_until(watched.loop, [&] { return !watched.health("b").last_answered->facts->in_recovery; }));
  CHECK(watched.health("b").last_answered->facts->timeline == 2);
  CHECK(watched.health("b").last_answered->facts->timeline_history.size() == 1);
}

TEST_CASE("the death of a local postmaster is known before any probe of it, again after each restart") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  auto detection = quick_detection();
  detection.interval = 1h;  // nothing but the death itself, and the link's end, can set anything off
  detection.refused_confirm = 1h;
  Watched watched({server.get()}, Nodes::kLocal, detection);
  watched.start();
  for (int round = 0; round < 2; ++round) {
    REQUIRE(run_until(watched.loop, [&] {
      watched.monitor->probe_now("a");
      return watched.liveness() == Liveness::kAlive;
    }));
    const auto pid = server->processes().front();
    server->kill_tree();
    REQUIRE(watched.comes_to(Liveness::kDead));
    CHECK(watched.health().suspicion.evidence == "postmaster " + std::to_string(pid) + " has ended");
    REQUIRE(run_until(watched.loop, [&] { return watched.health().last->outcome == ProbeOutcome::kRefused; }));
    server->start();
  }
}

TEST_CASE("a data directory that is not the answering server's is told of, and its postmaster's end is no evidence") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto neighbour = PostgresServer::primary(folder, "b");
  Watched watched({server.get(), neighbour.get()}, Nodes::kLocal);
  watched.cluster.nodes[0].local = neighbour->local();
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive, "a"));
  REQUIRE(watched.comes_to(Liveness::kAlive, "b"));
  CHECK(watched.health("a").local_doubt.find("not of this one") != std::string::npos);
  CHECK(watched.health("b").local_doubt.empty());
  neighbour->kill_tree();
  REQUIRE(watched.comes_to(Liveness::kDead, "b"));
  REQUIRE(watched.probes_again("a"));
  CHECK(watched.liveness("a") == Liveness::kAlive);
}

TEST_CASE("a data directory without a server is not the one of a server that answers") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()}, Nodes::kLocal);
  watched.cluster.nodes[0].local->data_directory += "-typo";
  watched.start();
  REQUIRE(run_until(watched.loop, [&] { return !watched.health().local_doubt.empty(); }));
  CHECK(watched.liveness() == Liveness::kAlive);
}

TEST_CASE("a postmaster that is stopped in good order is dead too") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()}, Nodes::kLocal);
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  server->stop("fast");
  REQUIRE(watched.comes_to(Liveness::kDead));
}

TEST_CASE("a remote server that was killed is dead after two refusals, without waiting for the interval") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  auto detection = quick_detection();
  detection.interval = 1h;
  detection.failure_timeout = 2h;
  Watched watched({server.get()}, Nodes::kRemote, detection);
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  const int changes = watched.changes;
  server->kill_tree();
  REQUIRE(watched.comes_to(Liveness::kDead));
  CHECK(watched.health().suspicion.evidence.starts_with("connection refused "));
  CHECK(watched.changes >= changes + 2);
  server->start();
  watched.monitor->probe_now("a");
  REQUIRE(watched.comes_to(Liveness::kAlive));
}

TEST_CASE("a frozen server is silent after failure_timeout, unless its client links bring bytes") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()}, Nodes::kLocal);
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));

  watched.link_bytes = [] { return monotonic_now(); };
  server->freeze_tree();
  const auto frozen_at = monotonic_now();
  REQUIRE(run_until(watched.loop, [&] {
    CHECK(watched.liveness() == Liveness::kAlive);
    return monotonic_now() > frozen_at + 2 * watched.cluster.detection.failure_timeout;
  }));
  CHECK(watched.health().last->outcome == ProbeOutcome::kTimedOut);

  const auto last_bytes = monotonic_now();
  watched.link_bytes = [=] { return last_bytes; };
  REQUIRE(watched.comes_to(Liveness::kSilent));
  const auto suspicion = watched.health().suspicion;
  CHECK(suspicion.since >= last_bytes + watched.cluster.detection.failure_timeout);
  CHECK(suspicion.evidence == "no answer for 900ms (no answer within 300ms)");

  server->thaw_tree();
  REQUIRE(watched.comes_to(Liveness::kAlive));
}

TEST_CASE("silence sets off the decision core by itself, at its time") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  auto detection = quick_detection();
  detection.interval = 1h;
  Watched watched({server.get()}, Nodes::kRemote, detection);
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  server->freeze_tree();
  watched.monitor->probe_now("a");
  REQUIRE(run_until(watched.loop, [&] { return watched.health().last->outcome == ProbeOutcome::kTimedOut; }));
  const int changes = watched.changes;  // from here on no probe ends
  REQUIRE(run_until(watched.loop, [&] { return watched.changes > changes; }));
  CHECK(watched.liveness() == Liveness::kSilent);
}

TEST_CASE("a server that accepts no connections is starting, then stuck") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  standby->stop();
  standby->append_setting("hot_standby = off");
  standby->start();
  Watched watched({standby.get()});
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kStarting, "b"));
  CHECK(watched.health("b").last->detail.starts_with("57P03: "));
  CHECK_FALSE(watched.health("b").last_answered.has_value());
  REQUIRE(watched.comes_to(Liveness::kStuck, "b"));
}

TEST_CASE("a server that answers with an error only is alive") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->query("CREATE ROLE limited LOGIN CONNECTION LIMIT 0; CREATE ROLE barred NOLOGIN");
  for (const auto& [user, database, sqlstate] : std::vector<std::array<std::string, 3>>{
           {"limited", "postgres", "53300"}, {"barred", "postgres", "28000"}, {"pgkeel", "nowhere", "3D000"}}) {
    Watched watched({server.get()});
    watched.cluster.monitor.user = user;
    watched.cluster.monitor.database = database;
    watched.start();
    REQUIRE(watched.comes_to(Liveness::kAlive));
    CHECK(watched.health().last->outcome == ProbeOutcome::kAliveOnly);
    CHECK(watched.health().last->detail.starts_with(sqlstate + ": "));
    CHECK_FALSE(watched.health().last_answered.has_value());
  }
}

TEST_CASE("a server with which no connection can be agreed on is alive") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  SUBCASE("it has no TLS") {
    watched.cluster.server_tls.mode = ServerTlsMode::kRequire;
  }
  SUBCASE("it wants a password, and there is none") {
    server->query("CREATE ROLE asked LOGIN PASSWORD 'x'");
    std::ofstream(server->data_directory() + "/pg_hba.conf")
        << "host all asked all scram-sha-256\nlocal all all trust\n"
           "host all all all trust\n";
    server->query("SELECT pg_reload_conf()");
    watched.cluster.monitor.user = "asked";
  }
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  CHECK(watched.health().last->outcome == ProbeOutcome::kAliveOnly);
  CHECK_FALSE(watched.health().last->detail.empty());
  server->kill_tree();
  CHECK(watched.comes_to(Liveness::kDead));
}

TEST_CASE("the role of `setup-sql` is enough, with its password from a file that is read anew at each connect") {
  const TemporaryFolder folder;
  ServerOptions options;
  options.hba_lines = {"host all pgkeel_monitor 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust"};
  const auto server = PostgresServer::primary(folder, "a", options);
  server->query("CREATE ROLE pgkeel_monitor LOGIN PASSWORD 'right one'; GRANT pg_monitor TO pgkeel_monitor");
  Watched watched({server.get()});
  watched.cluster.monitor.user = "pgkeel_monitor";
  watched.cluster.monitor.password_file = folder.path() + "/password";
  std::ofstream(watched.cluster.monitor.password_file) << "wrong one\n";
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  CHECK(watched.health().last->detail.starts_with("28P01: "));
  std::ofstream(watched.cluster.monitor.password_file) << "right one\nanother line\n";
  REQUIRE(run_until(watched.loop, [&] { return watched.health().last_answered.has_value(); }));

  Watched barred({server.get()});
  barred.cluster.monitor.password_file = folder.path() + "/no such file";
  barred.start();
  REQUIRE(run_until(barred.loop, [&] { return barred.health().last.has_value(); }));
  CHECK(barred.health().last->outcome == ProbeOutcome::kOwnTrouble);
  CHECK(barred.health().last->detail == "cannot read the password file " + barred.cluster.monitor.password_file);
  CHECK_FALSE(barred.sql("SELECT 1").has_value());
}

TEST_CASE("a name that resolves is probed, one that does not is our own trouble") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  watched.cluster.nodes[0].address.host = "localhost";
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));

  Watched lost({server.get()});
  lost.cluster.nodes[0].address.host = "no such host";
  lost.start();
  REQUIRE(lost.probes_again());
  CHECK(lost.health().last->outcome == ProbeOutcome::kOwnTrouble);
}

TEST_CASE("a server is probed over its Unix socket") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  watched.cluster.nodes[0].address.host = server->value("SHOW unix_socket_directories");
  REQUIRE(watched.cluster.nodes[0].address.host.starts_with('/'));
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  server->kill_tree();
  REQUIRE(watched.comes_to(Liveness::kDead));
}

TEST_CASE("being out of descriptors is held against nobody") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  REQUIRE(watched.probes_again());

  SqlConnection other(server->conninfo());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgkeel'");
  const bool noticed =
      run_until(watched.loop, [&] { return watched.health().last->outcome == ProbeOutcome::kOwnTrouble; });
  const auto from = monotonic_now();
  bool failed = false;
  const bool waited = run_until(watched.loop, [&] {
    failed = failed || watched.health().suspicion.failed();
    return monotonic_now() > from + 2 * watched.cluster.detection.failure_timeout;
  });
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(noticed);
  CHECK(waited);
  CHECK_FALSE(failed);
  REQUIRE(watched.probes_again());
  CHECK(watched.liveness() == Liveness::kAlive);
}

TEST_CASE("what goes by while this process is asleep is no evidence") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));

  SUBCASE("an answer that came meanwhile is read, although its time limit is over") {
    watched.monitor->probe_now("a");
    const auto probes = watched.health().probes;
    bool slept = false;
    watched.loop.defer([&] {
      std::this_thread::sleep_for(2 * watched.cluster.detection.failure_timeout);
      slept = true;
    });
    REQUIRE(run_until(watched.loop, [&] { return slept && watched.health().probes > probes; }));
    CHECK(watched.health().last->outcome == ProbeOutcome::kAnswered);
    CHECK(watched.liveness() == Liveness::kAlive);
  }
  SUBCASE("silence is counted anew") {
    server->freeze_tree();
    Instant woke_at{};
    watched.monitor->probe_now("a");
    watched.loop.defer([&] {
      std::this_thread::sleep_for(2 * watched.cluster.detection.failure_timeout);
      woke_at = monotonic_now();
    });
    REQUIRE(run_until(watched.loop, [&] { return woke_at != Instant{}; }));
    CHECK_FALSE(watched.health().suspicion.failed());
    REQUIRE(watched.comes_to(Liveness::kSilent));
    CHECK(watched.health().suspicion.since >= woke_at + watched.cluster.detection.failure_timeout);
  }
}

TEST_CASE("SQL runs in order on a kept connection, apart from the probes, and always ends") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()});
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));

  const auto backend = watched.value("SELECT pg_backend_pid()");
  CHECK(watched.value("SELECT 1; SELECT 2") == "2");
  CHECK(watched.value("SHOW synchronous_commit") == "local");
  CHECK(watched.value("SHOW search_path") == "pg_catalog");
  CHECK(watched.sql("ALTER SYSTEM SET work_mem = '5MB'").has_value());
  CHECK(watched.value("SELECT pg_backend_pid()") == backend);
  CHECK(watched.value("SELECT pg_backend_pid()", true) != backend);
  CHECK(watched.sql("CHECKPOINT", true).has_value());
  CHECK(watched.sql("SELECT 1 / 0").error().sqlstate == "22012");
  CHECK(watched.value("SELECT pg_backend_pid()") == backend);

  // A transaction that was left open does not swallow what follows.
  CHECK_FALSE(watched.sql("BEGIN; SELECT 1 / 0; COMMIT").has_value());
  CHECK(watched.value("SELECT 1") == "1");

  std::vector<std::string> order;
  for (const char* number : {"1", "2", "3"}) {
    watched.monitor->run_sql("a", "SELECT " + std::string(number), 20s, [&](const auto& answer) {
      order.push_back(answer ? *answer->rows[0][0] : answer.error().message);
    });
  }
  REQUIRE(run_until(watched.loop, [&] { return order.size() == 3; }));
  CHECK(order == std::vector<std::string>{"1", "2", "3"});

  const auto late = watched.sql("SELECT pg_sleep(60)", false, 50ms);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().sqlstate.empty());
  CHECK(watched.sql("SELECT 1", false, 0s).error().message == "no time left when its turn came");

  // A long statement holds up no probe.
  bool ended = false;
  watched.monitor->run_sql("a", "SELECT pg_sleep(60)", 5s, [&](const auto&) { ended = true; });
  REQUIRE(watched.probes_again());
  CHECK(watched.liveness() == Liveness::kAlive);
  CHECK_FALSE(ended);

  server->kill_tree();
  REQUIRE(run_until(watched.loop, [&] { return ended; }));
  CHECK_FALSE(watched.sql("SELECT 1").has_value());
  CHECK_FALSE(watched.sql("SELECT 1", true).has_value());
}

TEST_CASE("a monitor that is destroyed drops what is under way") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  Watched watched({server.get()}, Nodes::kLocal);
  watched.start();
  REQUIRE(watched.comes_to(Liveness::kAlive));
  bool called = false;
  watched.monitor->run_sql("a", "SELECT 1", 20s, [&](const auto&) { called = true; });
  watched.monitor->run_sql_apart("a", "SELECT 1", 20s, [&](const auto&) { called = true; });
  watched.monitor->probe_now("a");
  watched.monitor.reset();
  watched.loop.run();  // nothing is left to wait for
  CHECK_FALSE(called);
}
