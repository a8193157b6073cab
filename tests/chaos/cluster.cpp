#include "tests/chaos/cluster.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>

#include "proxy/io/os_user.h"
#include "tests/chaos/workload.h"
#include "tests/support/wait_until.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;
using test::AgentProcess;
using test::Certificates;
using test::PgkeelOptions;
using test::PostgresServer;
using test::ServerOptions;
using test::wait_until;

constexpr std::uint16_t kServerPort = 5432;
constexpr std::uint64_t kServerDiskMegabytes = 2048;
constexpr std::uint64_t kStateDiskMegabytes = 8;
constexpr std::size_t kLogTailBytes = 4000;
constexpr Duration kPrimaryLimit = 60s;
constexpr Duration kStandbyByItself = 10s;  // then an operator would look at it
constexpr Duration kNormalLimit = 90s;

std::vector<std::string> names_of_servers(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t number = 0; number < count; ++number) names.emplace_back(1, static_cast<char>('a' + number));
  return names;
}

std::vector<std::string> hosts_of(const Cluster::Options& options) {
  std::vector<std::string> hosts = names_of_servers(options.servers);
  for (const auto& more : {Pgkeels::names(options.pgkeels), Pgkeels::hosts_of_etcd(options.pgkeels)}) {
    hosts.insert(hosts.end(), more.begin(), more.end());
  }
  hosts.emplace_back(kClientsHost);
  return hosts;
}

}  // namespace

Cluster::Cluster(const Options& options) : options_(options), network_(hosts_of(options)) {
  const auto names = names_of_servers(options_.servers);
  if (options_.with_disks) {
    for (const auto& name : names) {
      disks_[name] = std::make_unique<Disk>(folder_.path(), "disk-" + name, kServerDiskMegabytes);
    }
    if (options_.pgkeels == 1)
      disks_[kPgkeelHost] = std::make_unique<Disk>(folder_.path(), "disk-pgkeel", kStateDiskMegabytes);
  }
  std::vector<PostgresServer*> nodes;
  for (const auto& name : names) {
    make_socket_folder(name);
    const auto at_host = network_.visit(name);
    servers_[name] = name == names.front() ? PostgresServer::primary(folder_, name, server_options(name))
                                           : PostgresServer::standby_of(server("a"), name, server_options(name));
    nodes.push_back(&server(name));
  }
  PgkeelOptions pgkeel_options;
  pgkeel_options.local_nodes = false;
  pgkeel_options.log_level = "info";
  if (disks_.contains(kPgkeelHost)) pgkeel_options.state_directory = disk_of_state().path() + "/state";
  std::vector<std::string> addresses;
  for (const auto& name : names) addresses.push_back(network_.address(name));
  for (const auto& name : Pgkeels::names(options_.pgkeels)) addresses.push_back(network_.address(name));
  certificates_ = std::make_unique<Certificates>(folder_, addresses);
  if (options_.with_agents) {
    for (const auto& name : names) {
      agents_[name] = std::make_unique<AgentProcess>(folder_, server(name), *certificates_);
      start_agent(name);
      pgkeel_options.agents[name] = agent_of(name).access();
    }
  }
  pgkeel_options.cluster_lines = {std::string("durability = \"") + durability_name(options_.durability) + "\""};
  pgkeel_options.cluster_lines.insert(pgkeel_options.cluster_lines.end(), options_.cluster_lines.begin(),
                                      options_.cluster_lines.end());
  pgkeels_ = std::make_unique<Pgkeels>(network_, options_.pgkeels, options_.with_vip, nodes, certificates_.get(),
                                       pgkeel_options);
  if (!settle()) throw std::runtime_error("the cluster does not become normal:\n" + describe());
}

Cluster::~Cluster() {
  undo();
  pgkeels_->kill_all();
  for (const auto& [name, agent] : agents_) {
    if (agent->running()) agent->kill();
  }
  for (const auto& [name, server] : servers_) server->kill_tree();
}

ServerOptions Cluster::server_options(const std::string& name) const {
  ServerOptions options;
  options.address = network_.address(name);
  options.port = kServerPort;
  options.hba_lines = {
      "local all all trust", "host all " + std::string(kSlowRole) + " " + Network::block() + " scram-sha-256",
      "host all all " + Network::block() + " trust", "host replication all " + Network::block() + " trust"};
  // Servers notice a cut between them in seconds, and their WAL fits on the small disk.
  options.settings = {"wal_sender_timeout = 5s", "wal_receiver_timeout = 5s", "max_wal_size = 96MB",
                      "min_wal_size = 32MB", "max_slot_wal_keep_size = 128MB"};
  if (options_.with_disks) options.parent_folder = disks_.at(name)->path();
  options.socket_folder = socket_folder_of(name);
  return options;
}

std::string Cluster::socket_folder_of(const std::string& name) const {
  return folder_.path() + "/socket-" + name;
}

// The hosts share this machine's file systems, and all servers have the same port.
void Cluster::make_socket_folder(const std::string& name) const {
  const std::string path = socket_folder_of(name);
  std::filesystem::create_directory(path);
  const auto user = find_os_user(test::server_user());
  if (!user || chown(path.c_str(), user->uid, user->gid) != 0) throw std::runtime_error("chown " + path);
}

void Cluster::start_server(const std::string& name) {
  const auto at_host = network_.visit(name);
  try {
    server(name).start();
  } catch (const std::exception&) {
    if (!options_.with_agents) throw;
  }
}

void Cluster::start_agent(const std::string& name) {
  const auto at_host = network_.visit(name);
  agent_of(name).start();
}

bool Cluster::is_normal() const {
  return pgkeels_->all_route();
}

std::string Cluster::primary() const {
  const auto now = pgkeels_->status();
  if (!now.is_object() || !now["route"].is_string()) throw std::runtime_error("there is no primary:\n" + describe());
  return now["route"];
}

std::vector<std::string> Cluster::standbys() const {
  std::vector<std::string> names;
  for (const auto& [name, server] : servers_) names.push_back(name);
  std::erase(names, primary());
  return names;
}

std::string Cluster::describe() const {
  std::string text = pgkeels_->describe();
  for (const auto& [name, agent] : agents_) {
    const std::string log = agent->log_text();
    text += "\nagent of " + name + ":\n" + log.substr(log.size() - std::min(log.size(), kLogTailBytes));
  }
  return text;
}

void Cluster::undo() {
  network_.heal();
  for (const auto& [host, disk] : disks_) {
    disk->thaw();
    disk->free();
  }
  for (const auto& [name, server] : servers_) server->thaw_tree();
  for (const auto& [name, agent] : agents_) {
    if (agent->running()) ::kill(agent->pid(), SIGCONT);
  }
  if (pgkeels_) pgkeels_->thaw_all();
}

void Cluster::start_all() {
  for (const auto& [name, agent] : agents_) {
    if (!agent->running()) start_agent(name);
  }
  if (!options_.with_agents) {
    for (const auto& [name, server] : servers_) {
      if (!server->is_running()) start_server(name);
    }
  }
  pgkeels_->start_all();
}

bool Cluster::settle() {
  start_all();
  const bool has_primary = wait_until(
      [this] {
        const auto now = pgkeels_->status();
        return now.is_object() && now["route"].is_string() && now["phase"] == "steady";
      },
      kPrimaryLimit);
  if (!has_primary) return false;
  if (!options_.with_agents) repair_without_agents();
  if (!wait_until([this] { return is_normal(); }, kNormalLimit)) return false;
  make_synchronous();
  if (options_.with_agents) clear_away();
  return true;
}

void Cluster::repair_without_agents() {
  for (const auto& standby : standbys()) {
    if (is_old_primary(standby)) rebuild(standby);
  }
  if (wait_until([this] { return is_normal(); }, kStandbyByItself)) return;
  for (const auto& standby : standbys()) {
    if (!streams(standby)) rebuild(standby);
  }
}

// What a rejoin has set aside is the operator's to remove.
void Cluster::clear_away() {
  std::filesystem::remove_all(folder_.path() + "/quarantine");
  for (const auto& [name, server] : servers_) {
    const std::filesystem::path data_directory = server->data_directory();
    const std::string replaced = data_directory.filename().string() + ".replaced-";
    std::vector<std::filesystem::path> set_aside;
    for (const auto& entry : std::filesystem::directory_iterator(data_directory.parent_path())) {
      if (entry.path().filename().string().starts_with(replaced)) set_aside.push_back(entry.path());
    }
    for (const auto& path : set_aside) std::filesystem::remove_all(path);
  }
}

bool Cluster::is_old_primary(const std::string& name) const {
  const auto at_host = network_.visit(name);
  try {
    return servers_.at(name)->is_primary();
  } catch (const test::SqlError&) {
    return false;  // a standby that does not take connections yet
  }
}

bool Cluster::streams(const std::string& standby) const {
  return !query_primary("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '" +
                        standby + "'")
              .empty();
}

bool Cluster::is_safe(const std::string& standby) const {
  const auto now = pgkeels_->status();
  if (!now.is_object()) return false;
  return std::ranges::any_of(now["nodes"],
                             [&](const auto& node) { return node["name"] == standby && node["safe"] == true; });
}

void Cluster::rebuild(const std::string& standby) {
  ++rebuilt_;
  auto& old = servers_.at(standby);
  old->kill_tree();
  std::filesystem::remove_all(old->data_directory());
  const auto at_host = network_.visit(standby);
  old = PostgresServer::standby_of(server(primary()), standby, server_options(standby));
}

// Under `async` pgkeel leaves synchronous_standby_names to the operator.
void Cluster::make_synchronous() {
  const auto names = standbys();
  if (options_.durability != Durability::kAsync) {
    const bool safe = wait_until(
        [&] { return std::ranges::all_of(names, [&](const auto& name) { return is_safe(name); }); }, kNormalLimit);
    if (!safe) throw std::runtime_error("not every standby becomes safe:\n" + describe());
    return;
  }
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  query_primary("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (" + list + ")'");
  query_primary("SELECT pg_reload_conf()");
  const bool synchronous = wait_until(
      [&] {
        return query_primary("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum'").size() == names.size();
      },
      kNormalLimit);
  if (!synchronous) throw std::runtime_error("not every standby becomes synchronous:\n" + describe());
  // Backends wait only once the checkpointer has set its flag (design 2.1).
  query_primary("CHECKPOINT");
}

test::Rows Cluster::query_primary(const std::string& sql) const {
  const std::string name = primary();
  const auto at_host = network_.visit(name);
  return servers_.at(name)->query(sql);
}

}  // namespace pgkeel::chaos
