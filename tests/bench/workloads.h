// What the throughput benchmark has each target do, and what it measures meanwhile. One thread, which starts others.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/bench/bench_targets.h"

namespace pgkeel::test {

// Name and value of each figure of one run. What ends with "_us" is a latency; "tps" and "megabytes_per_second" are
// throughputs; "cpu_seconds_…" is of the proxy's process alone.
using Figures = std::map<std::string, double>;

struct Workload {
  enum class Kind {
    kPgbench,     // with `pgbench` as its options
    kCopyOut,     // 1 GB of rows
    kCopyIn,      // 300 MB of rows, into a table that is emptied
    kTlsQueries,  // by `clients`, each of which waits for its answer
    kTlsCopyOut,  // 300 MB of rows
    kIdle,        // memory for `clients` that have logged in and say nothing
    kTlsIdle,     // the same, encrypted
  };
  std::string name;
  Kind kind = Kind::kPgbench;
  int clients = 1;
  std::vector<std::string> pgbench = {};

  [[nodiscard]] bool needs_tls() const {
    return kind == Kind::kTlsQueries || kind == Kind::kTlsCopyOut || kind == Kind::kTlsIdle;
  }
  // Sessions are opened one by one, and nothing is timed: once is enough.
  [[nodiscard]] bool once() const { return kind == Kind::kIdle || kind == Kind::kTlsIdle; }
  [[nodiscard]] bool runs_on(const BenchTarget& target) const;
};

// Those whose name begins with one of `only`; none given: all.
std::vector<Workload> workloads(const std::vector<std::string>& only);

// Throws where a target does not do its work.
Figures run_workload(const BenchTargets& targets, const BenchTarget& target, const Workload& workload, int seconds);

}  // namespace pgkeel::test
