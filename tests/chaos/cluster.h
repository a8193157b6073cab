// Two servers or more, pgkeel (or several) and the clients, each on a host of its own, and everything that can be done
// to them. Failures throw. One thread.
//
// With an agent beside each server everything must heal by itself. Without, nodes are known to pgkeel by their
// addresses only, and what an operator does for such nodes, settle() does: a server that is down is started, and one
// that cannot be a standby any more is rebuilt.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "tests/chaos/disk.h"
#include "tests/chaos/pgkeels.h"
#include "tests/support/agent_process.h"
#include "tests/support/network.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::chaos {

using test::Network;

inline constexpr const char* kClientsHost = "clients";

class Cluster {
 public:
  struct Options {
    Durability durability = Durability::kAvailable;
    std::size_t servers = 2;
    bool with_agents = true;
    bool with_disks = true;  // a file system of its own for each server, and for the state folder of a single pgkeel
    std::size_t pgkeels = 1;
    bool with_vip = false;                        // of several: clients know but the virtual IP
    std::vector<std::string> cluster_lines = {};  // more of the configuration
  };

  explicit Cluster(const Options& options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Of a cluster that is settled.
  [[nodiscard]] std::string primary() const;
  [[nodiscard]] std::vector<std::string> standbys() const;

  [[nodiscard]] const Network& network() const { return network_; }
  [[nodiscard]] test::PostgresServer& server(const std::string& name) { return *servers_.at(name); }
  [[nodiscard]] Disk& disk_of(const std::string& name) { return *disks_.at(name); }
  [[nodiscard]] Disk& disk_of_state() { return *disks_.at(kPgkeelHost); }
  [[nodiscard]] test::AgentProcess& agent_of(const std::string& name) { return *agents_.at(name); }
  [[nodiscard]] Pgkeels& pgkeels() { return *pgkeels_; }
  [[nodiscard]] const Pgkeels& pgkeels() const { return *pgkeels_; }

  // Beside agents, it may fail: they have work of their own with it.
  void start_server(const std::string& name);
  void start_agent(const std::string& name);

  // Heals the network, the disks, and whoever stands still.
  void undo();
  // Starts what is down, and waits until all is redundant again. False: it did not become so.
  [[nodiscard]] bool settle();
  [[nodiscard]] std::size_t rebuilt() const { return rebuilt_; }
  [[nodiscard]] std::string describe() const;

  test::Rows query_primary(const std::string& sql) const;

 private:
  [[nodiscard]] test::ServerOptions server_options(const std::string& name) const;
  [[nodiscard]] std::string socket_folder_of(const std::string& name) const;
  void make_socket_folder(const std::string& name) const;
  void start_all();
  void repair_without_agents();
  void clear_away();
  [[nodiscard]] bool is_normal() const;
  [[nodiscard]] bool is_old_primary(const std::string& name) const;
  [[nodiscard]] bool streams(const std::string& standby) const;
  [[nodiscard]] bool is_safe(const std::string& standby) const;
  void rebuild(const std::string& standby);
  void make_synchronous();

  const Options options_;
  test::TemporaryFolder folder_;
  std::map<std::string, std::unique_ptr<Disk>> disks_;
  Network network_;
  std::map<std::string, std::unique_ptr<test::PostgresServer>> servers_;
  std::unique_ptr<test::Certificates> certificates_;
  std::map<std::string, std::unique_ptr<test::AgentProcess>> agents_;
  std::unique_ptr<Pgkeels> pgkeels_;
  std::size_t rebuilt_ = 0;
};

}  // namespace pgkeel::chaos
