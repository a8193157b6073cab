// A primary `a` and its standby `b`, and LocalServers for both, with what a controller would tell and do around them.
// One thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "replication/agent/local_server.h"
#include "tests/support/postgres_server.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

class ServerPair {
 public:
  explicit ServerPair(const ServerOptions& options = {})
      : a(PostgresServer::primary(folder, "a", options)), b(PostgresServer::standby_of(*a, "b")) {
    a->query("CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 1000); CHECKPOINT");
    if (!a->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
  }

  [[nodiscard]] static LocalServer local(const PostgresServer& server) {
    return {server.name(), {"127.0.0.1", server.port()}, server.local()};
  }

  // What the controller does on a new primary before a rejoin.
  static void prepare_upstream(const PostgresServer& server, const std::string& standby) {
    const auto slot = "pgkeel_" + standby;
    server.query("SELECT pg_create_physical_replication_slot('" + slot +
                 "', true) WHERE NOT EXISTS "
                 "(SELECT FROM pg_replication_slots WHERE slot_name = '" +
                 slot + "')");
    server.query("CHECKPOINT");
  }

  static void promote(const PostgresServer& server, const std::string& old_primary) {
    server.query("SELECT pg_promote(true)");
    prepare_upstream(server, old_primary);
  }

  // `a` commits rows that `b` never hears of, and crashes; `b` takes over.
  void diverge() {
    b->stop();
    a->query("INSERT INTO t VALUES (-1)");
    a->kill_tree();
    b->start();
    promote(*b, "a");
    b->query("INSERT INTO t VALUES (1)");
  }

  [[nodiscard]] static UpstreamServer upstream(const PostgresServer& server) {
    UpstreamServer upstream;
    upstream.node = server.name();
    upstream.address = {"127.0.0.1", server.port()};
    upstream.replication = {.user = "pgkeel_repl", .database = "postgres", .password_file = ""};
    upstream.timeline = static_cast<Timeline>(
        std::stoul(server.value("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")));
    return upstream;
  }

  Result<RejoinReport, RejoinError> rejoin(const PostgresServer& node, const PostgresServer& primary) {
    return rejoin(local(node), upstream(primary));
  }
  Result<RejoinReport, RejoinError> rejoin(const LocalServer& node, const UpstreamServer& primary) {
    return node.rejoin(primary, [this](const std::string& line) { lines.push_back(line); });
  }

  [[nodiscard]] std::string said() const {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    return text;
  }

  // It streams from `primary`, what is written there arrives, and both have the same rows.
  static bool replicates(const PostgresServer& primary, const PostgresServer& standby) {
    if (!primary.wait_streams(standby.name())) return false;
    primary.query("INSERT INTO t VALUES (4711)");
    return primary.wait_caught_up(standby.name()) && !standby.is_primary() &&
           standby.value(kAllRows) == primary.value(kAllRows);
  }

  static constexpr const char* kAllRows = "SELECT md5(string_agg(x::text, ',' ORDER BY x)) FROM t";

  TemporaryFolder folder;
  std::unique_ptr<PostgresServer> a;
  std::unique_ptr<PostgresServer> b;
  std::vector<std::string> lines;  // that rejoin said
};

}  // namespace pgkeel::test
