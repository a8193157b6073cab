// A primary `a`, a standby `b` (and more), pgkeel in front, all normal: where most end-to-end tests begin. Failures
// throw.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/writers.h"

namespace pgkeel::test {

struct Cluster {
  explicit Cluster(const std::vector<std::string>& standby_names = {"b"}, PgkeelOptions options = {}) {
    servers.push_back(PostgresServer::primary(folder, "a"));
    for (const auto& name : standby_names) servers.push_back(PostgresServer::standby_of(*servers.front(), name));
    std::vector<PostgresServer*> nodes;
    for (const auto& server : servers) nodes.push_back(server.get());
    pgkeel = std::make_unique<PgkeelProcess>(folder, nodes, std::move(options));
    pgkeel->start();
    require_normal("a");
  }

  PostgresServer& server(const std::string& name) const {
    for (const auto& candidate : servers) {
      if (candidate->name() == name) return *candidate;
    }
    throw std::runtime_error("no server " + name);
  }

  void require_normal(const std::string& primary) const {
    if (!pgkeel->wait_normal(primary))
      throw std::runtime_error("not normal on " + primary + ":\n" + pgkeel->describe());
  }

  // From now on a commit is acknowledged only when the standby has it: "no acknowledged row is lost" can be asked for.
  void make_synchronous(const std::string& primary, const std::string& standby) const {
    server(primary).query("ALTER SYSTEM SET synchronous_standby_names = '" + standby + "'");
    server(primary).query("SELECT pg_reload_conf()");
    const bool synchronous = wait_until([&] {
      return server(primary).value("SELECT sync_state FROM pg_stat_replication WHERE application_name = '" + standby +
                                   "'") == "sync";
    });
    if (!synchronous) throw std::runtime_error(standby + " did not become synchronous");
    // Backends wait only once the checkpointer has set its flag (design 2.1).
    server(primary).query("CHECKPOINT");
  }

  // One primary, the other nodes streaming standbys of it: asked of the servers themselves.
  void check_roles(const std::string& primary) const {
    CHECK(server(primary).is_primary());
    for (const auto& other : servers) {
      if (other->name() == primary) continue;
      CAPTURE(other->name());
      CHECK_FALSE(other->is_primary());
      CHECK(server(primary).wait_streams(other->name()));
    }
  }

  TemporaryFolder folder;
  std::vector<std::unique_ptr<PostgresServer>> servers;
  std::unique_ptr<PgkeelProcess> pgkeel;
};

}  // namespace pgkeel::test
