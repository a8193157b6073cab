// Watches the nodes of one cluster: drives one probe per node on one kept connection, watches the postmaster of a local
// node, feeds the failure detectors, and hands out what it knows. Control thread only. Destroying it drops what is
// under way, without a word; not from inside one of its callbacks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "health/agent_evidence.h"
#include "health/failure_detector.h"
#include "health/observation.h"
#include "proxy/base/result.h"
#include "proxy/io/sql_answer.h"

namespace pgkeel {

class Loop;

class Monitor {
 public:
  // `on_change` is called after each observation and each change of a suspicion: run the decision core.
  // `last_link_bytes` tells when client links last heard from a node (Instant{}: never): evidence that it lives.
  Monitor(Loop& loop, const ClusterConfig& cluster, std::function<void()> on_change,
          std::function<Instant(const std::string& node)> last_link_bytes);
  ~Monitor();

  void start();  // the first on_change comes later

  // Other nodes, other ways to them, other timings. What is known of a node stays known as long as it has its address;
  // one that has another is got to know anew. Statements on what is gone end with an error.
  void reconfigure(const ClusterConfig& cluster);

  // A client link broke or was refused: probe the node at once. At most one probe runs at a time, and they begin 20ms
  // apart at least, however often this is called.
  void probe_now(const std::string& node);

  // The node's agent has said this. What a postmaster's death means holds as if it had been seen from here.
  void agent_said(const std::string& node, const AgentWord& word);

  struct NodeHealth {
    std::string node;
    Suspicion suspicion;
    std::optional<Observation> last;           // the newest observation, whatever its outcome
    std::optional<Observation> last_answered;  // the newest one with facts
    std::uint64_t probes = 0;                  // since start
    std::uint64_t failed_probes = 0;
    Duration last_probe_duration{};
    // Why the data directory that is configured, or its agent's, is not that of the server that answers; empty: it is.
    std::string local_doubt;
  };
  // Nothing is known of a node that is not configured.
  [[nodiscard]] NodeHealth health(const std::string& node, Instant now) const;

  // The application_name of its sessions from now on: of probes, when they connect anew, and of the statements, at
  // once.
  void name_sessions(const std::string& probes, const std::string& statements);

  // Asked right before a statement is sent, when its connection is there. An error: it is not, and ends with that.
  using MaySend = std::function<Result<void>()>;

  // Runs one statement (or several, separated by ';': the rows of the last count) on a connection of the node that is
  // kept for this, one at a time, ready whenever the newest probe was answered. A limit over 10s is cut to that by the
  // server. `done` is always called, later, on this thread. Nothing waits for a synchronous standby
  // (synchronous_commit = local), and search_path is pg_catalog.
  void run_sql(const std::string& node, std::string sql, Duration limit,
               std::function<void(Result<SqlRows, SqlError>)> done, MaySend may_send = nullptr);

  // What was given to run_sql ends with an error, later but before anything that is given from now on. What has been
  // sent may be carried out all the same.
  void give_up_sql(const std::string& node);

  // The same as run_sql on another kept connection, made at the first of these, or under `strict` ready as that one:
  // for what clients wait for. They and those who give orders do not wait for each other.
  void run_sql_for_clients(const std::string& node, std::string sql, Duration limit,
                           std::function<void(Result<SqlRows, SqlError>)> done);

  // The same on a connection of its own that is closed afterwards: for what takes long (CHECKPOINT).
  enum class Session { kOfStatements, kOfProbes };  // whose application_name it bears
  void run_sql_apart(const std::string& node, std::string sql, Duration limit,
                     std::function<void(Result<SqlRows, SqlError>)> done, MaySend may_send = nullptr,
                     Session session = Session::kOfStatements);

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
