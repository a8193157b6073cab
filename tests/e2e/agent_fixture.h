// A primary `a`, a standby `b`, an agent beside each, and pgkeel in front, which reaches both through their agents.
// Failures throw.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/agent_process.h"

namespace pgkeel::test {

struct AgentCluster {
  explicit AgentCluster(const std::vector<std::string>& agent_lines = {},
                        const std::vector<std::string>& cluster_lines = {})
      : certificates(folder) {
    servers.push_back(PostgresServer::primary(folder, "a"));
    servers.push_back(PostgresServer::standby_of(*servers.front(), "b"));
    PgkeelOptions options;
    options.cluster_lines = cluster_lines;
    for (const auto& server : servers) {
      auto& agent = agents[server->name()];
      agent = std::make_unique<AgentProcess>(folder, *server, certificates, agent_lines);
      agent->start();
      options.agents[server->name()] = agent->access();
    }
    pgkeel = std::make_unique<PgkeelProcess>(folder, std::vector<PostgresServer*>{servers[0].get(), servers[1].get()},
                                             options);
    pgkeel->start();
    if (!pgkeel->wait_normal("a")) throw std::runtime_error("not normal:\n" + pgkeel->describe());
  }

  PostgresServer& server(const std::string& name) const { return *servers.at(name == "a" ? 0 : 1); }
  AgentProcess& agent(const std::string& name) const { return *agents.at(name); }

  // The text of the newest event that has these words in it; empty: none.
  [[nodiscard]] std::string event_with(const std::string& words) const {
    std::string found;
    for (const auto& event : pgkeel->events()) {
      const std::string text = event.value("text", "");
      if (text.find(words) != std::string::npos) found = text;
    }
    return found;
  }

  void check_roles(const std::string& primary, const std::string& standby) const {
    CHECK(server(primary).is_primary());
    CHECK_FALSE(server(standby).is_primary());
    CHECK(server(primary).wait_streams(standby));
  }

  TemporaryFolder folder;
  Certificates certificates;
  std::vector<std::unique_ptr<PostgresServer>> servers;
  std::map<std::string, std::unique_ptr<AgentProcess>> agents;
  std::unique_ptr<PgkeelProcess> pgkeel;
};

}  // namespace pgkeel::test
