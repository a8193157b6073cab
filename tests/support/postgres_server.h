// A real PostgreSQL server for tests: listens on loopback (or one other address), trusts everybody there (also for
// replication), keeps its socket in the test's folder. It belongs to nobody's process tree, so that others (pgkeel, a
// LocalServer) may stop and start it too; the TemporaryFolder ends it. Failures throw. One thread at a time.
//
// Users: `postgres` and `pgkeel` (superusers), `pgkeel_repl` (replication, and what pg_rewind needs).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/time.h"
#include "tests/support/sql_connection.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

// Where initdb, postgres and pg_basebackup are: the newest version installed.
const std::string& bin_directory();

// A port on loopback that nothing listens on. Below the range from which the kernel takes ports for outgoing
// connections, so that it is still free when a server that was killed comes back.
std::uint16_t free_port();

struct ServerOptions {
  std::vector<std::string> settings = {};   // lines for postgresql.conf
  std::vector<std::string> hba_lines = {};  // instead of the trusting ones
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;              // 0: a free one
  std::string parent_folder = {};      // of its data directory; empty: the test's folder
  std::string socket_folder = {};      // empty: the test's folder, where ports keep servers apart
  bool own_system_identifier = false;  // not a copy of the template: a cluster of its own, made by initdb (slower)
  bool start = true;
};

class PostgresServer {
 public:
  static std::unique_ptr<PostgresServer> primary(const TemporaryFolder& folder, const std::string& name,
                                                 const ServerOptions& options = {});
  // A streaming standby by pg_basebackup, with slot `pgkeel_<name>` and application_name `<name>`.
  static std::unique_ptr<PostgresServer> standby_of(PostgresServer& upstream, const std::string& name,
                                                    const ServerOptions& options = {});

  void start();
  void stop(const std::string& mode = "fast");  // smart, fast, immediate
  void kill_tree();                             // SIGKILL, all at once: a crash of the machine, but for the page cache
  void freeze_tree();                           // SIGSTOP: a hang
  void thaw_tree();
  [[nodiscard]] std::vector<pid_t> processes() const;  // postmaster first; empty: not running
  [[nodiscard]] bool is_running() const { return !processes().empty(); }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::string& data_directory() const { return data_directory_; }
  [[nodiscard]] std::string log_text() const;
  [[nodiscard]] std::string conninfo(const std::string& user = "postgres",
                                     const std::string& database = "postgres") const;
  [[nodiscard]] LocalServerConfig local() const;  // as the configuration of a node would have it
  [[nodiscard]] NodeConfig node() const;          // address and local

  Rows query(const std::string& sql) const;  // on a connection of its own
  std::string value(const std::string& sql) const;
  void append_setting(const std::string& line);  // to postgresql.conf; takes effect at reload or start

  [[nodiscard]] bool is_primary() const { return value("SELECT pg_is_in_recovery()") == "f"; }
  // Waits until standby `name` streams from here and has flushed (`replayed`: and replayed) all WAL written so far.
  [[nodiscard]] bool wait_caught_up(const std::string& name, Duration limit = std::chrono::seconds(30)) const;
  [[nodiscard]] bool wait_streams(const std::string& name, Duration limit = std::chrono::seconds(30)) const;

 private:
  PostgresServer(const TemporaryFolder& folder, std::string name, const ServerOptions& options);
  void configure(const ServerOptions& options);
  void start_on_a_free_port();

  const TemporaryFolder& folder_;
  std::string name_;
  std::string data_directory_;
  std::string log_file_;
  std::string socket_folder_;
  std::string address_;
  std::uint16_t port_ = 0;
};

}  // namespace pgkeel::test
