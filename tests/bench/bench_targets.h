// Ways to one PostgreSQL server that a benchmark compares: the server itself, pgkeel, and other proxies where they are
// installed. All of them run in the benchmark's temporary folder and end with it. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/background_process.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"

namespace pgkeel::test {

struct BenchTarget {
  std::string name;
  std::string version;
  std::uint16_t port = 0;
  std::optional<pid_t> proxy;  // none: the server itself

  // CPU time of the proxy's threads since its start; 0 where there is none.
  [[nodiscard]] double proxy_cpu_seconds() const;
};

class BenchTargets {
 public:
  BenchTargets();

  [[nodiscard]] const std::vector<BenchTarget>& all() const { return targets_; }
  [[nodiscard]] const PostgresServer& server() const { return *server_; }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }

 private:
  void add_haproxy();
  void add_pgbouncer();
  void add_proxy(const std::string& name, const std::string& version, std::uint16_t port,
                 const std::vector<std::string>& arguments);

  TemporaryFolder folder_;
  std::unique_ptr<PostgresServer> server_;
  std::unique_ptr<PgkeelProcess> pgkeel_;
  std::vector<BackgroundProcess> others_;
  std::vector<BenchTarget> targets_;
};

}  // namespace pgkeel::test
