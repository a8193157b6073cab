// That commits on a primary wait for standbys is proven on a real server, and by the setting that was ordered: else a
// promotion under `strict` is not done, and says why.
#include "replication/execute/commit_proof.h"

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "health/monitor.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "replication/execute/sql_actions.h"
#include "tests/support/postgres_server.h"
#include "tests/support/sql_connection.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kNames = "ANY 1 (\"b\")";
constexpr const char* kLastCheckpoint = "SELECT checkpoint_lsn FROM pg_control_checkpoint()";
constexpr const char* kWaiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
constexpr const char* kOwnSessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgkeel%'";

// One pgkeel's connections to the server "a", which begins with all that it keeps there.
class Prover {
 public:
  explicit Prover(const PostgresServer& server)
      : cluster_(cluster_of(server)),
        monitor_(
            loop_, cluster_, [] {}, [](const std::string&) { return Instant{}; }),
        line_(loop_, monitor_) {
    monitor_.start();
    SqlConnection observer(server.conninfo());
    run_until([&] { return observer.value(kOwnSessions) == "3"; });
  }

  Result<void> prove(const std::function<void()>& meanwhile = [] {}) {
    std::optional<Result<void>> seen;
    see_commits_wait(conversation(), "a", kNames, [&seen](const Result<void>& result) { seen = result; });
    run_until([&] {
      meanwhile();
      return seen.has_value();
    });
    return *seen;
  }

  ActionStatus promote_strictly() {
    Action action = make_action(ActionKind::kPromote, "a", 1);
    action.standby_names = kNames;
    action.commits_must_wait = true;
    std::optional<ActionStatus> outcome;
    promote(conversation(), action, [&outcome](ActionStatus status) { outcome = std::move(status); });
    run_until([&] { return outcome.has_value(); });
    return *outcome;
  }

 private:
  static ClusterConfig cluster_of(const PostgresServer& server) {
    ClusterConfig cluster;
    cluster.name = "test";
    cluster.durability = Durability::kStrict;
    cluster.nodes.push_back(server.node());
    cluster.nodes.front().name = "a";
    cluster.nodes.front().local.reset();
    return cluster;
  }

  SqlConversation conversation() {
    return {loop_, monitor_, line_, cluster_, [] { return monotonic_now(); }, wanted_};
  }

  // Runs the loop until `condition`, which may block, is true. The limit is only there to end a broken test.
  void run_until(const std::function<bool()>& condition) {
    Timer often(loop_, [&] {
      if (condition()) loop_.stop();
    });
    Timer late(loop_, [&] { loop_.stop(); });
    often.start_repeating(1ms);
    late.start_once(60s);
    loop_.run();
    REQUIRE(condition());
  }

  Loop loop_;
  ClusterConfig cluster_;
  Monitor monitor_;
  OrderLine line_;
  std::shared_ptr<const bool> wanted_ = std::make_shared<const bool>(true);
};

void set_names(const PostgresServer& server, const std::string& names) {
  server.query("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'");
  server.query("SELECT pg_reload_conf()");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("on a server that takes no further connection a commit is seen to wait, without a checkpoint") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(
      folder, "a", {.settings = {"max_connections = 12", "superuser_reserved_connections = 0"}});
  set_names(*server, kNames);
  Prover prover(*server);
  std::vector<std::unique_ptr<SqlConnection>> clients;
  std::string refused;
  while (refused.empty()) {
    try {
      clients.push_back(std::make_unique<SqlConnection>(server->conninfo()));
    } catch (const pgkeel::test::SqlError& error) {
      refused = error.what();
    }
  }
  REQUIRE_MESSAGE(refused.find("too many clients already") != std::string::npos, refused);
  const std::string checkpoint = clients.front()->value(kLastCheckpoint);
  const auto seen = prover.prove();
  CHECK_MESSAGE(seen.has_value(), seen.error().message);
  CHECK(clients.front()->value(kWaiting) == "0");  // its own is cancelled
  CHECK(clients.front()->value(kLastCheckpoint) == checkpoint);
}

TEST_CASE("a promotion under strict is not done while the server goes on with another setting, and tells it") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "p");
  const auto server = PostgresServer::standby_of(*primary, "a");
  const std::string settings_file = server->data_directory() + "/postgresql.conf";
  const std::string settings = read_file(settings_file);
  server->append_setting("no_such_setting = on");
  Prover prover(*server);

  const ActionStatus refused = prover.promote_strictly();
  CHECK_FALSE(refused.succeeded);
  CHECK(refused.message.find("commits do not wait for standbys yet: synchronous_standby_names is '' there, although "
                             "'ANY 1 (\"b\")' was set") != std::string::npos);
  CHECK(server->is_primary());

  // Mended, it is set again on what is a primary by now, and proven.
  std::ofstream(settings_file, std::ios::trunc) << settings;
  const ActionStatus done = prover.promote_strictly();
  CHECK_MESSAGE(done.succeeded, done.message);
  CHECK(done.message.find("commits wait for standbys") != std::string::npos);
  CHECK(server->value("SHOW synchronous_standby_names") == kNames);
  CHECK(server->value(kWaiting) == "0");
}

TEST_CASE("where no commit is seen to wait a checkpoint is ordered, and does not prove it alone") {
  const TemporaryFolder folder;

  SUBCASE("its checkpointer reads the setting late") {
    const auto server = PostgresServer::primary(folder, "a");
    Prover prover(*server);
    SqlConnection observer(server->conninfo());
    const pid_t checkpointer =
        std::stoi(observer.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"));
    ::kill(checkpointer, SIGSTOP);
    set_names(*server, kNames);
    bool is_ordered = false;
    const auto seen = prover.prove([&] {
      if (is_ordered || observer.value("SELECT count(*) FROM pg_stat_activity WHERE query = 'CHECKPOINT'") == "0")
        return;
      is_ordered = true;
      ::kill(checkpointer, SIGCONT);
    });
    ::kill(checkpointer, SIGCONT);
    CHECK(is_ordered);
    CHECK_MESSAGE(seen.has_value(), seen.error().message);
  }
  SUBCASE("a standby acknowledges whatever it is told of") {
    const auto server = PostgresServer::primary(folder, "a");
    const auto standby = PostgresServer::standby_of(*server, "b");
    set_names(*server, kNames);
    Prover prover(*server);
    const auto seen = prover.prove();
    CHECK_MESSAGE(seen.has_value(), seen.error().message);
    CHECK(server->value(kWaiting) == "0");
  }
  SUBCASE("its commits wait for nobody, whatever is set") {
    const auto server =
        PostgresServer::primary(folder, "a", {.settings = {"max_wal_senders = 0", "max_replication_slots = 0"}});
    set_names(*server, kNames);
    const std::string checkpoint = server->value(kLastCheckpoint);
    Prover prover(*server);
    const auto seen = prover.prove();
    REQUIRE_FALSE(seen.has_value());
    CHECK(seen.error().message.find("return at once") != std::string::npos);
    CHECK(server->value(kLastCheckpoint) != checkpoint);
  }
  SUBCASE("it cannot be written to: why is told at once") {
    const auto primary = PostgresServer::primary(folder, "p");
    const auto server = PostgresServer::standby_of(*primary, "a");
    set_names(*server, kNames);
    Prover prover(*server);
    const auto seen = prover.prove();
    REQUIRE_FALSE(seen.has_value());
    CHECK(seen.error().message.find("read-write mode during recovery") != std::string::npos);
  }
}
