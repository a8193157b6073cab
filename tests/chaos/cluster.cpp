#include "tests/chaos/cluster.h"

#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "tests/support/wait_until.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;
using test::PgkeelOptions;
using test::PgkeelProcess;
using test::PostgresServer;
using test::ServerOptions;
using test::wait_until;

constexpr std::uint16_t kServerPort = 5432;
constexpr std::uint64_t kServerDiskMegabytes = 512;
constexpr std::uint64_t kStateDiskMegabytes = 8;
constexpr Duration kPrimaryLimit = 60s;
constexpr Duration kStandbyByItself = 10s;  // then an operator would look at it
constexpr Duration kNormalLimit = 90s;

const char* name_of(Durability durability) {
  if (durability == Durability::kStrict) return "strict";
  return durability == Durability::kAvailable ? "available" : "async";
}

}  // namespace

Cluster::Cluster(const Options& options) : options_(options), network_({"a", "b", kPgkeelHost, kClientsHost}) {
  if (options_.with_disks) {
    for (const char* name : {"a", "b"}) {
      disks_[name] = std::make_unique<Disk>(folder_.path(), std::string("disk-") + name, kServerDiskMegabytes);
    }
    disks_[kPgkeelHost] = std::make_unique<Disk>(folder_.path(), "disk-pgkeel", kStateDiskMegabytes);
  }
  {
    const auto at_host = network_.visit("a");
    servers_["a"] = PostgresServer::primary(folder_, "a", server_options("a"));
  }
  {
    const auto at_host = network_.visit("b");
    servers_["b"] = PostgresServer::standby_of(server("a"), "b", server_options("b"));
  }
  PgkeelOptions pgkeel_options;
  pgkeel_options.address = network_.address(kPgkeelHost);
  pgkeel_options.local_nodes = false;
  pgkeel_options.log_level = "info";
  if (options_.with_disks) pgkeel_options.state_directory = disk_of_state().path() + "/state";
  if (options_.durability != Durability::kAsync) {
    pgkeel_options.cluster_lines = {std::string("durability = \"") + name_of(options_.durability) + "\""};
  }
  pgkeel_ = std::make_unique<PgkeelProcess>(folder_, std::vector{&server("a"), &server("b")}, pgkeel_options);
  start_pgkeel();
  if (!settle()) throw std::runtime_error("the cluster does not become normal:\n" + describe());
}

Cluster::~Cluster() {
  undo();
  pgkeel_->kill();
  for (const auto& [name, server] : servers_) server->kill_tree();
}

ServerOptions Cluster::server_options(const std::string& name) const {
  ServerOptions options;
  options.address = network_.address(name);
  options.port = kServerPort;
  options.hba_lines = {"local all all trust", "host all all " + Network::block() + " trust",
                       "host replication all " + Network::block() + " trust"};
  // Servers notice a cut between them in seconds, and their WAL fits on the small disk.
  options.settings = {"wal_sender_timeout = 5s", "wal_receiver_timeout = 5s", "max_wal_size = 96MB",
                      "min_wal_size = 32MB", "max_slot_wal_keep_size = 128MB"};
  if (options_.with_disks) options.parent_folder = disks_.at(name)->path();
  return options;
}

std::string Cluster::conninfo() const {
  return pgkeel_->conninfo(
      "connect_timeout=10 tcp_user_timeout=10000 keepalives_idle=5 keepalives_interval=2 keepalives_count=3");
}

void Cluster::start_server(const std::string& name) {
  const auto at_host = network_.visit(name);
  server(name).start();
}

void Cluster::start_pgkeel() {
  const auto at_host = network_.visit(kPgkeelHost);
  pgkeel_->start();
}

nlohmann::json Cluster::status() const {
  const auto at_host = network_.visit(kPgkeelHost);
  return pgkeel_->status();
}

bool Cluster::is_normal() const {
  const auto now = status();
  return now.is_object() && now["condition"] == "normal" && now["route"].is_string();
}

Cluster::Roles Cluster::roles() const {
  const auto now = status();
  if (!now.is_object() || !now["route"].is_string()) throw std::runtime_error("there is no primary:\n" + describe());
  const std::string primary = now["route"];
  return {.primary = primary, .standby = primary == "a" ? "b" : "a"};
}

std::string Cluster::describe() const {
  const auto at_host = network_.visit(kPgkeelHost);
  return pgkeel_->describe();
}

void Cluster::undo() {
  network_.heal();
  for (const auto& [host, disk] : disks_) {
    disk->thaw();
    disk->free();
  }
  for (const auto& [name, server] : servers_) server->thaw_tree();
  if (pgkeel_ && pgkeel_->running()) ::kill(pgkeel_->pid(), SIGCONT);
}

bool Cluster::settle() {
  undo();
  for (const auto& [name, server] : servers_) {
    if (!server->is_running()) start_server(name);
  }
  if (!pgkeel_->running()) start_pgkeel();
  const bool has_primary = wait_until(
      [this] {
        const auto now = status();
        return now.is_object() && now["route"].is_string() && now["phase"] == "steady";
      },
      kPrimaryLimit);
  if (!has_primary) return false;
  if (is_old_primary(roles().standby) || !wait_until([this] { return is_normal(); }, kStandbyByItself)) {
    rebuild(roles());
    if (!wait_until([this] { return is_normal(); }, kNormalLimit)) return false;
  }
  make_synchronous(roles());
  return true;
}

bool Cluster::is_old_primary(const std::string& name) const {
  const auto at_host = network_.visit(name);
  try {
    return servers_.at(name)->is_primary();
  } catch (const test::SqlError&) {
    return false;  // a standby that does not take connections yet
  }
}

void Cluster::rebuild(const Roles& roles) {
  ++rebuilt_;
  auto& old = servers_.at(roles.standby);
  old->kill_tree();
  std::filesystem::remove_all(old->data_directory());
  const auto at_host = network_.visit(roles.standby);
  old = PostgresServer::standby_of(server(roles.primary), roles.standby, server_options(roles.standby));
}

// Under `async` pgkeel leaves synchronous_standby_names to the operator; otherwise it is waited for.
void Cluster::make_synchronous(const Roles& roles) {
  const auto at_host = network_.visit(roles.primary);
  test::SqlConnection primary(server(roles.primary).conninfo());
  if (options_.durability == Durability::kAsync) {
    primary.query("ALTER SYSTEM SET synchronous_standby_names = '" + roles.standby + "'");
    primary.query("SELECT pg_reload_conf()");
  }
  const bool synchronous = wait_until(
      [&] {
        return primary.value(
                   "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND "
                   "application_name = '" +
                   roles.standby + "'") == "1";
      },
      kNormalLimit);
  if (!synchronous) throw std::runtime_error(roles.standby + " does not become synchronous:\n" + describe());
  // Backends wait only once the checkpointer has set its flag (design 2.1).
  if (options_.durability == Durability::kAsync) primary.query("CHECKPOINT");
}

test::Rows Cluster::query_primary(const std::string& sql) const {
  const std::string primary = roles().primary;
  const auto at_host = network_.visit(primary);
  return servers_.at(primary)->query(sql);
}

}  // namespace pgkeel::chaos
