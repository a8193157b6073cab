// A `pgkeel serve` as a process of its own, with a configuration made for the test. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/io/background_process.h"
#include "proxy/io/socket.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/verb.h"

namespace pgkeel::test {

struct PgkeelOptions {
  std::vector<std::string> proxy_lines = {};    // under [proxy]
  std::vector<std::string> cluster_lines = {};  // under [cluster.test]; failover_pause is 0s unless given here
  std::vector<std::string> detection_lines = {};
  std::vector<std::string> coordination_lines = {};                        // under [coordination], where there are any
  std::map<std::string, std::vector<PostgresServer*>> more_clusters = {};  // beside "test"
  bool local_nodes = true;                                                 // false: pgkeel knows only the addresses
  std::string log_level = "debug";
  std::uint32_t descriptor_limit = 0;                    // 0: the system's
  std::string address = "127.0.0.1";                     // of the access points
  std::uint16_t port = 0;                                // of the access point of "test"; 0: a free one
  std::string state_directory = {};                      // empty: in the test's folder
  std::string program = {};                              // empty: the one that was built beside the tests
  std::map<std::string, AgentAccessConfig> agents = {};  // by node: it has an agent, and is not local
};

class PgkeelProcess {
 public:
  // Nodes are named as the servers are; their order is that of the configuration. The access point's port is chosen
  // once and kept.
  PgkeelProcess(const TemporaryFolder& folder, const std::vector<PostgresServer*>& nodes, PgkeelOptions options = {});

  void start(const std::vector<std::string>& more_arguments = {});
  // As a service manager does it that has kept these sockets (LISTEN_FDS, LISTEN_FDNAMES).
  void start_with(const std::vector<NamedSocket>& sockets);
  void kill();       // SIGKILL
  void terminate();  // SIGTERM, and waits for its end
  [[nodiscard]] bool running() { return process_ && process_->running(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

  // Null where it does not answer.
  [[nodiscard]] nlohmann::json status(const std::string& cluster = "test") const;
  [[nodiscard]] nlohmann::json events() const;
  // Of `pgkeel decisions`, oldest first; of this kind ("failover", "refused failover", "rejoin") only.
  [[nodiscard]] std::vector<nlohmann::json> decisions(const std::string& kind) const;
  [[nodiscard]] std::string metrics() const;
  [[nodiscard]] bool wait_for(const std::function<bool(const nlohmann::json& status)>& condition,
                              Duration limit = std::chrono::seconds(60)) const;
  // Condition "normal", and the access point leads to this node (empty: any).
  [[nodiscard]] bool wait_normal(const std::string& primary = "", Duration limit = std::chrono::seconds(60)) const;
  [[nodiscard]] std::string describe() const;  // status and log, for a failed check

  [[nodiscard]] std::uint16_t port(const std::string& cluster = "test") const { return ports_.at(cluster); }
  [[nodiscard]] std::string conninfo(const std::string& more = "") const;  // through the access point
  [[nodiscard]] const std::string& config_file() const { return config_file_; }
  [[nodiscard]] const std::string& state_directory() const { return state_directory_; }
  [[nodiscard]] const std::string& log_file() const { return log_file_; }
  [[nodiscard]] std::string log_text() const;
  [[nodiscard]] std::uint16_t admin_port() const { return admin_port_; }
  [[nodiscard]] BackgroundProcess& process() { return *process_; }
  // It has taken over: waits for the end of the one before, and goes on with this.
  void follow_by(BackgroundProcess successor);

  // Runs another verb of the same binary with this configuration.
  [[nodiscard]] VerbResult run_verb(std::vector<std::string> arguments) const;

 private:
  void run(const std::vector<std::string>& arguments);

  std::string program_;
  std::string config_file_;
  std::string state_directory_;
  std::string log_file_;
  std::string address_;
  std::map<std::string, std::uint16_t> ports_;  // of the clusters' access points
  std::uint32_t descriptor_limit_ = 0;
  std::uint16_t admin_port_ = 0;
  std::optional<BackgroundProcess> process_;
};

}  // namespace pgkeel::test
