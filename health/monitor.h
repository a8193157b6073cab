// Watches the nodes of one cluster: drives one probe per node on one kept connection, watches the postmaster of a local
// node, feeds the failure detectors, and hands out what it knows. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "health/failure_detector.h"
#include "health/observation.h"
#include "proxy/base/result.h"

namespace pgkeel {

class Loop;

// The rows of an SQL answer, as text; NULL is an absent value.
struct SqlRows {
  std::vector<std::vector<std::optional<std::string>>> rows;
};

struct SqlError {
  std::string sqlstate;  // empty: the server was not reached, or did not answer in time
  std::string message;
};

class Monitor {
 public:
  // `on_change` is called after each observation and each change of a suspicion: run the decision core.
  // `last_link_bytes` tells when client links last heard from a node (Instant{}: never): evidence that it lives.
  Monitor(Loop& loop, const ClusterConfig& cluster, std::function<void()> on_change,
          std::function<Instant(const std::string& node)> last_link_bytes);
  ~Monitor();

  void start();

  // A client link broke or was refused: probe the node at once (at most one probe runs at a time).
  void probe_now(const std::string& node);

  struct NodeHealth {
    std::string node;
    Suspicion suspicion;
    std::optional<Observation> last;           // the newest observation, whatever its outcome
    std::optional<Observation> last_answered;  // the newest one with facts
    std::uint64_t probes = 0;                  // since start
    std::uint64_t failed_probes = 0;
    Duration last_probe_duration{};
  };
  [[nodiscard]] NodeHealth health(const std::string& node, Instant now) const;

  // Runs one statement (or several, separated by ';': the rows of the last count) on the node's kept connection, after
  // the probe that may be running there. `done` is always called, later, on this thread.
  void run_sql(const std::string& node, std::string sql, Duration limit,
               std::function<void(Result<SqlRows, SqlError>)> done);

  // The same on a connection of its own that is closed afterwards: for what takes long (CHECKPOINT).
  void run_sql_apart(const std::string& node, std::string sql, Duration limit,
                     std::function<void(Result<SqlRows, SqlError>)> done);

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
