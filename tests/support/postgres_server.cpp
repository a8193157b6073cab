#include "tests/support/postgres_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <random>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/io/child_process.h"
#include "proxy/io/os_user.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

std::string run_as_server_user(std::vector<std::string> arguments) {
  auto output = run_checked(
      {.arguments = std::move(arguments), .limit = 120s, .environment = {"LC_ALL=C"}, .os_user = server_user()});
  if (!output) throw std::runtime_error(output.error().message);
  return *output;
}

std::string program(const std::string& name) {
  return bin_directory() + "/" + name;
}

void append_to(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app) << text;
}

void initialise(const std::string& data_directory) {
  run_as_server_user({program("initdb"), "--pgdata", data_directory, "--username", "postgres", "--auth", "trust",
                      "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"});
}

// initdb takes a second or more, so each test process does it once and copies the result.
const std::string& template_data_directory() {
  static const TemporaryFolder folder;
  static const std::string directory = [] {
    initialise(folder.path() + "/template");
    return folder.path() + "/template";
  }();
  return directory;
}

bool can_bind(std::uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // as PostgreSQL does
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(descriptor);
  return bound;
}

constexpr const char* kSettings = R"(
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_connections = 120
max_wal_senders = 10
max_replication_slots = 10
wal_level = replica
wal_log_hints = on
wal_keep_size = 64MB
hot_standby = on
restart_after_crash = off
autovacuum_naptime = 1h
log_line_prefix = '%m [%p] %a '
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
)";

constexpr const char* kRoles = R"(
CREATE ROLE pgkeel LOGIN SUPERUSER;
CREATE ROLE pgkeel_repl LOGIN REPLICATION;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO pgkeel_repl;
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO pgkeel_repl;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO pgkeel_repl;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO pgkeel_repl;
)";

}  // namespace

const std::string& bin_directory() {
  static const std::string directory = [] {
    std::string newest;
    int newest_version = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
      const int version = std::atoi(entry.path().filename().c_str());
      if (version > newest_version && access((entry.path() / "bin/postgres").c_str(), X_OK) == 0) {
        newest_version = version;
        newest = entry.path() / "bin";
      }
    }
    if (!newest.empty()) return newest;
    auto found = run_checked({.arguments = {"pg_config", "--bindir"}, .limit = 10s});
    if (!found) throw std::runtime_error("no PostgreSQL server is installed: " + found.error().message);
    found->erase(found->find_last_not_of('\n') + 1);
    return *found;
  }();
  return directory;
}

std::uint16_t free_port() {
  static std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> choice(10'000, 31'999);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto port = static_cast<std::uint16_t>(choice(random));
    if (can_bind(port)) return port;
  }
  throw std::runtime_error("no free port on loopback");
}

PostgresServer::PostgresServer(const TemporaryFolder& folder, std::string name, const ServerOptions& options)
    : folder_(folder),
      name_(std::move(name)),
      data_directory_((options.parent_folder.empty() ? folder.path() : options.parent_folder) + "/" + name_),
      log_file_(folder.path() + "/" + name_ + ".log"),
      socket_folder_(options.socket_folder.empty() ? folder.path() : options.socket_folder),
      address_(options.address) {}

std::unique_ptr<PostgresServer> PostgresServer::primary(const TemporaryFolder& folder, const std::string& name,
                                                        const ServerOptions& options) {
  std::unique_ptr<PostgresServer> server(new PostgresServer(folder, name, options));
  if (options.own_system_identifier) {
    initialise(server->data_directory_);
  } else {
    run_as_server_user({"cp", "-a", "--reflink=auto", template_data_directory(), server->data_directory_});
  }
  server->configure(options);
  if (!options.start) return server;
  server->start_on_a_free_port();
  server->query(kRoles);
  return server;
}

std::unique_ptr<PostgresServer> PostgresServer::standby_of(PostgresServer& upstream, const std::string& name,
                                                           const ServerOptions& options) {
  std::unique_ptr<PostgresServer> server(new PostgresServer(upstream.folder_, name, options));
  const auto slot = "pgkeel_" + name;
  upstream.query("SELECT pg_create_physical_replication_slot('" + slot +
                 "', true) WHERE NOT EXISTS "
                 "(SELECT FROM pg_replication_slots WHERE slot_name = '" +
                 slot + "')");
  run_as_server_user({program("pg_basebackup"), "--dbname",
                      upstream.conninfo("pgkeel_repl") + " application_name=" + name, "--pgdata",
                      server->data_directory_, "--checkpoint", "fast", "--wal-method", "stream", "--slot", slot,
                      "--write-recovery-conf", "--no-sync"});
  append_to(server->data_directory_ + "/postgresql.auto.conf",
            "primary_conninfo = 'host=" + upstream.address_ + " port=" + std::to_string(upstream.port_) +
                " user=pgkeel_repl application_name=" + name + "'\n");
  server->configure(options);
  if (!options.start) return server;
  server->start_on_a_free_port();
  if (!upstream.wait_streams(name)) throw std::runtime_error(name + " does not stream: " + server->log_text());
  return server;
}

void PostgresServer::configure(const ServerOptions& options) {
  append_to(data_directory_ + "/postgresql.conf", kSettings);
  append_setting("listen_addresses = '" + address_ + "'");
  append_setting("unix_socket_directories = '" + socket_folder_ + "'");
  append_setting("cluster_name = '" + name_ + "'");
  for (const auto& line : options.settings) append_setting(line);
  if (!options.hba_lines.empty()) {
    std::ofstream hba(data_directory_ + "/pg_hba.conf", std::ios::trunc);
    for (const auto& line : options.hba_lines) hba << line << "\n";
  }
  port_ = options.port != 0 ? options.port : free_port();
  append_setting("port = " + std::to_string(port_));
}

// Another process may take the port between our look and the server's bind.
void PostgresServer::start_on_a_free_port() {
  for (int attempt = 0;; ++attempt) {
    try {
      start();
      return;
    } catch (const std::exception&) {
      if (attempt == 4 || log_text().find("could not bind") == std::string::npos) throw;
      port_ = free_port();
      append_setting("port = " + std::to_string(port_));
    }
  }
}

void PostgresServer::append_setting(const std::string& line) {
  append_to(data_directory_ + "/postgresql.conf", line + "\n");
}

void PostgresServer::start() {
  // PostgreSQL takes a zombie that nobody has reaped yet, and a number given to another process, for a running server.
  if (!is_running()) {
    std::filesystem::remove(data_directory_ + "/postmaster.pid");
    std::filesystem::remove(socket_folder_ + "/.s.PGSQL." + std::to_string(port_) + ".lock");
  }
  try {
    run_as_server_user({program("pg_ctl"), "start", "--pgdata", data_directory_, "--log", log_file_, "--wait",
                        "--timeout", "60", "--silent"});
  } catch (const std::exception& error) {
    throw std::runtime_error(error.what() + ("\n" + log_text()));
  }
}

void PostgresServer::stop(const std::string& mode) {
  run_as_server_user({program("pg_ctl"), "stop", "--pgdata", data_directory_, "--mode", mode, "--wait", "--timeout",
                      "60", "--silent"});
}

std::vector<pid_t> PostgresServer::processes() const {
  // `find` as the server's user: root in a container may lack the right to look.
  const auto found =
      run_program({.arguments = {"/bin/sh", "-c", "find /proc/[0-9]*/cwd -maxdepth 0 -lname \"$0\" -printf '%h\\n'",
                                 data_directory_},
                   .limit = 30s,
                   .os_user = server_user()});
  if (!found) throw std::runtime_error(found.error().message);
  std::vector<pid_t> pids;
  std::istringstream lines(found->output);
  for (std::string line; std::getline(lines, line);) pids.push_back(std::atoi(line.c_str() + 6));
  pid_t postmaster = 0;
  std::ifstream(data_directory_ + "/postmaster.pid") >> postmaster;
  std::partition(pids.begin(), pids.end(), [&](pid_t pid) { return pid == postmaster; });
  return pids;
}

void PostgresServer::kill_tree() {
  for (auto pids = processes(); !pids.empty(); pids = processes()) {
    // Stopped first: a backend that sees the postmaster die before its own turn would say goodbye to its client.
    for (const pid_t pid : pids) kill(pid, SIGSTOP);
    for (const pid_t pid : pids) kill(pid, SIGKILL);
  }
}

void PostgresServer::freeze_tree() {
  for (const pid_t pid : processes()) kill(pid, SIGSTOP);
}

void PostgresServer::thaw_tree() {
  for (const pid_t pid : processes()) kill(pid, SIGCONT);
}

std::string PostgresServer::log_text() const {
  std::ostringstream text;
  text << std::ifstream(log_file_).rdbuf();
  return text.str();
}

std::string PostgresServer::conninfo(const std::string& user, const std::string& database) const {
  return "host=" + address_ + " port=" + std::to_string(port_) + " user=" + user + " dbname=" + database +
         " connect_timeout=10 sslmode=disable gssencmode=disable";
}

LocalServerConfig PostgresServer::local() const {
  return {.data_directory = data_directory_, .bin_directory = bin_directory(), .os_user = server_user()};
}

NodeConfig PostgresServer::node() const {
  NodeConfig node;
  node.name = name_;
  node.address = {address_, port_};
  node.local = local();
  return node;
}

Rows PostgresServer::query(const std::string& sql) const {
  return SqlConnection(conninfo()).query(sql);
}

std::string PostgresServer::value(const std::string& sql) const {
  return SqlConnection(conninfo()).value(sql);
}

bool PostgresServer::wait_streams(const std::string& name, Duration limit) const {
  SqlConnection connection(conninfo());
  return wait_until(
      [&] {
        return connection.value(
                   "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND "
                   "application_name = '" +
                   name + "'") == "1";
      },
      limit);
}

bool PostgresServer::wait_caught_up(const std::string& name, Duration limit) const {
  SqlConnection connection(conninfo());
  const auto written = connection.value(
      "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END");
  return wait_until(
      [&] {
        return connection.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = '" + name +
                                "' AND replay_lsn >= '" + written + "'") == "1";
      },
      limit);
}

}  // namespace pgkeel::test
