// A `pgkeel serve` as a process of its own, with a configuration made for the test. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/io/background_process.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

struct PgkeelOptions {
  std::vector<std::string> proxy_lines = {};    // under [proxy]
  std::vector<std::string> cluster_lines = {};  // under [cluster.test]; failover_pause is 0s unless given here
  std::vector<std::string> detection_lines = {};
  bool local_nodes = true;  // false: pgkeel knows only the addresses
};

class PgkeelProcess {
 public:
  // Nodes are named as the servers are; their order is that of the configuration. The access point's port is chosen
  // once and kept.
  PgkeelProcess(const TemporaryFolder& folder, const std::vector<PostgresServer*>& nodes, PgkeelOptions options = {});

  void start(const std::vector<std::string>& more_arguments = {});
  void kill();       // SIGKILL
  void terminate();  // SIGTERM, and waits for its end
  [[nodiscard]] bool running() { return process_ && process_->running(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

  // Of the one cluster; null where it does not answer.
  [[nodiscard]] nlohmann::json status() const;
  [[nodiscard]] nlohmann::json events() const;
  [[nodiscard]] bool wait_for(const std::function<bool(const nlohmann::json& status)>& condition,
                              Duration limit = std::chrono::seconds(60)) const;
  // Condition "normal", and the access point leads to this node (empty: any).
  [[nodiscard]] bool wait_normal(const std::string& primary = "", Duration limit = std::chrono::seconds(60)) const;
  [[nodiscard]] std::string describe() const;  // status and log, for a failed check

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string conninfo(const std::string& more = "") const;  // through the access point
  [[nodiscard]] const std::string& config_file() const { return config_file_; }
  [[nodiscard]] const std::string& state_directory() const { return state_directory_; }
  [[nodiscard]] std::string log_text() const;

  // Runs another verb of the same binary; its status and both outputs.
  struct VerbResult {
    int exit_status = 0;
    std::string output;
    std::string error_output;
  };
  [[nodiscard]] VerbResult run_verb(const std::vector<std::string>& arguments) const;

 private:
  std::string config_file_;
  std::string state_directory_;
  std::string log_file_;
  std::uint16_t port_ = 0;
  std::uint16_t admin_port_ = 0;
  std::optional<BackgroundProcess> process_;
};

}  // namespace pgkeel::test
