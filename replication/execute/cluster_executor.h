// Carries out the actions of one cluster on real servers: SQL through the monitor's connections, files and processes
// through the nodes' hosts on job threads. It decides nothing. Control thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "config/config.h"
#include "replication/agent/node_host.h"
#include "replication/execute/job_runner.h"
#include "replication/model/action.h"

namespace pgkeel {

class Loop;
class Monitor;
class OrderLine;

class ClusterExecutor {
 public:
  // `hosts`: of the nodes whose processes and files can be handled, from here or through an agent. `finished` is called
  // once per started action, later, with its outcome. `progress` tells one line of long work.
  using Hosts = std::map<std::string, std::shared_ptr<const NodeHost>>;
  ClusterExecutor(Loop& loop, const ClusterConfig& cluster, Monitor& monitor, Hosts hosts,
                  std::function<void(const ActionStatus&)> finished,
                  std::function<void(const std::string& node, const std::string& line)> progress);
  ~ClusterExecutor();

  // Other nodes and hosts. What runs goes on with those that it began with.
  void reconfigure(const ClusterConfig& cluster, Hosts hosts);

  // How SQL gets to the nodes: open to a pgkeel that is alone, and among several to the leader.
  [[nodiscard]] OrderLine& line();
  [[nodiscard]] const OrderLine& line() const;

  void start(const Action& action);

  // A start or a rejoin that runs ends soon, and tells so; where it was done before that, it was. What it began is as
  // if pgkeel had been killed.
  void break_off(const Action& action);

  // Why the processes and files of a node that has a host are not handled; empty: they are.
  [[nodiscard]] std::string local_doubt(const std::string& node) const;

  // nullptr: its processes and files cannot be handled at all.
  [[nodiscard]] std::shared_ptr<const NodeHost> host(const std::string& node) const {
    const auto found = hosts_.find(node);
    return found == hosts_.end() ? nullptr : found->second;
  }
  [[nodiscard]] bool has_host(const std::string& node) const { return hosts_.contains(node); }

  [[nodiscard]] bool jobs_run() const { return !jobs_.idle(); }

 private:
  struct Context;  // what the actions share; outlives the executor while one of them waits for an answer

  using Host = std::shared_ptr<const NodeHost>;
  void fence_host(const Action& action, const Host& host);
  void rejoin(const Action& action, const Host& host);
  void start_server(const Action& action, const Host& host);
  void stop_server(const Action& action, const Host& host);
  void examine(const Action& action, const Host& host);
  using Work = std::function<ActionStatus(const JobRunner::Post& post)>;
  using Finished = std::function<void(const ActionStatus&)>;
  void run_job(const Action& action, Work work, Finished finished);
  void run_job(const Action& action, Work work);

  // The start or rejoin that was begun last on a node.
  struct Breakable {
    std::stop_source source;
    bool prepares_upstream = false;  // no job runs yet
  };
  static ActionStatus broken_off(const Action& action);

  JobRunner jobs_;
  std::map<std::string, Breakable> breakable_;
  Hosts hosts_;
  std::shared_ptr<Context> context_;
};

}  // namespace pgkeel
