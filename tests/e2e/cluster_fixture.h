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
  enum class Start { kNow, kLater };  // kLater: the test starts pgkeel

  explicit Cluster(const std::vector<std::string>& standby_names = {"b"}, PgkeelOptions options = {},
                   Start start = Start::kNow, const ServerOptions& server_options = {}) {
    servers.push_back(PostgresServer::primary(folder, "a", server_options));
    for (const auto& name : standby_names)
      servers.push_back(PostgresServer::standby_of(*servers.front(), name, server_options));
    std::vector<PostgresServer*> nodes;
    for (const auto& server : servers) nodes.push_back(server.get());
    pgkeel = std::make_unique<PgkeelProcess>(folder, nodes, std::move(options));
    if (start == Start::kLater) return;
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
