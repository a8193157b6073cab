// `pgkeel serve`: builds the parts, starts and stops them in order. The thread that calls run() is the control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/admin_server.h"
#include "proxy/app/cluster_service.h"
#include "proxy/base/result.h"
#include "proxy/io/loop.h"
#include "proxy/io/loop_lag.h"
#include "proxy/io/signal_watch.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/worker_pool.h"
#include "replication/state/decision_log.h"
#include "replication/state/event_log.h"
#include "replication/state/state_directory.h"

namespace pgkeel {

class Application {
 public:
  // `adopt`: per cluster the node that the operator wants as its primary. On an error nothing is left running.
  static Result<std::unique_ptr<Application>> create(const Config& config, std::map<std::string, std::string> adopt);
  ~Application();

  // Serves until SIGTERM or SIGINT; then ends every client with 57P01 and returns.
  void run();

  // A program (pg_rewind, …) still runs on a job thread: leave the process without waiting for it.
  [[nodiscard]] bool jobs_run() const;

 private:
  Application(const Config& config, StateDirectory state, std::unique_ptr<EventLog> events,
              std::unique_ptr<DecisionLog> decisions);
  Result<void> start(std::uint64_t descriptor_limit, const std::map<std::string, std::string>& adopt);
  [[nodiscard]] ClusterService* find_cluster(const std::string& name) const;
  Result<void> start_admin();
  // Any other thread: has the control thread answer. Nothing: it did not begin to in time, and never will.
  template <class Answer>
  std::optional<Answer> ask(std::function<Answer()> question);
  [[nodiscard]] std::optional<std::vector<ClusterStatus>> ask_clusters();
  std::optional<OrderAnswer> give_order(const std::string& cluster, const OperatorOrder& order, bool preview);
  void audit(const std::string& text);
  void write_admin_address() const;
  [[nodiscard]] std::vector<LoopStatus> loops() const;  // any thread
  void begin_stop(const char* signal_name);

  const Config config_;
  StateDirectory state_;
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<DecisionLog> decisions_;
  Loop loop_;
  LoopLag loop_lag_{loop_};
  std::unique_ptr<Wakeup> wakeup_;
  std::unique_ptr<WorkerPool> workers_;
  std::vector<std::unique_ptr<ClusterService>> clusters_;
  std::unique_ptr<AdminServer> admin_;
  std::vector<std::unique_ptr<SignalWatch>> signals_;
  bool stopping_ = false;
};

}  // namespace pgkeel
