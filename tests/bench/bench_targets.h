// Ways to one PostgreSQL server that a benchmark compares: the server itself, pgkeel, a pump that parses nothing, and
// other proxies where they are installed. All of them run in the benchmark's temporary folder and end with it. One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/background_process.h"
#include "tests/bench/bench_connection.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"

namespace pgkeel::test {

struct BenchTarget {
  std::string name;
  std::string version;
  std::uint16_t port = 0;
  std::optional<pid_t> proxy = {};  // none: the server itself
  TlsWay tls = TlsWay::kNone;       // how a client of it encrypts; kNone: it does not
  std::uint16_t tls_port = 0;
  std::uint16_t scram_port = 0;  // where user `scram` proves a password

  // CPU time of the proxy's threads so far; 0 where there is none.
  [[nodiscard]] double proxy_cpu_seconds() const;
  [[nodiscard]] double proxy_memory_bytes() const;  // resident
};

// Another pgkeel in the same rounds: another build, or one with other settings.
struct PgkeelBeside {
  std::string name;
  std::string program;                        // empty: the one that was built beside the benchmark
  std::vector<std::string> proxy_lines = {};  // under [proxy]
};

class BenchTargets {
 public:
  static constexpr const char* kPumpName = "pump";
  static constexpr const char* kScramPassword = "a password";

  // Of those named in `only`, or of all where it is empty; `direct` is always there.
  BenchTargets(unsigned connections, const std::vector<PgkeelBeside>& beside, const std::vector<std::string>& only);

  [[nodiscard]] const std::vector<BenchTarget>& all() const { return targets_; }
  [[nodiscard]] const PostgresServer& server() const { return *server_; }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }

 private:
  void add_pgkeel(const PgkeelBeside& what);
  void add_pump();
  void add_haproxy();
  void add_pgbouncer();
  BackgroundProcess& start(const std::string& name, const std::vector<std::string>& arguments, std::uint16_t port);

  TemporaryFolder folder_;
  std::string cert_, key_;
  unsigned connections_;  // at a time, at most
  std::unique_ptr<PostgresServer> server_;
  std::vector<std::unique_ptr<TemporaryFolder>> pgkeel_folders_;
  std::vector<std::unique_ptr<PgkeelProcess>> pgkeels_;
  std::vector<std::unique_ptr<BackgroundProcess>> others_;
  std::vector<BenchTarget> targets_;
};

}  // namespace pgkeel::test
