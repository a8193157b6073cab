// A cluster as a scenario tells it: what each node would answer, what the controller was told and what it did. The
// order of the output is the order in which the controller caused the effects. Tests only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/decide/transitions.h"
#include "replication/execute/cluster_controller.h"
#include "tests/scenarios/script_arguments.h"
#include "tests/scenarios/script_text.h"
#include "tests/scenarios/scripted_node.h"

namespace pgkeel::scenarios {

// What a run of scenarios has reached, over all of them.
struct Coverage {
  std::set<std::size_t> transition_rows;
  std::set<Phase> phases;
  std::set<ActionKind> actions;
};

class ScriptedCluster : public ClusterController::Effects {
 public:
  explicit ScriptedCluster(Coverage& coverage) : coverage_(coverage) {}

  // Runs the commands, lets the controller decide, and returns what it did.
  std::string run(const std::vector<std::string>& commands);

 private:
  using Command = void (ScriptedCluster::*)(const Arguments&);
  static Command command(const std::string& word);

  void define_nodes(const Arguments& arguments);
  void set_policy(const Arguments& arguments);
  void reload(const Arguments& arguments);
  void set_memory(const Arguments& arguments);
  void set_primary(const Arguments& arguments);
  void set_standby(const Arguments& arguments);
  void set_liveness(const Arguments& arguments);
  void refuse(const Arguments& arguments);
  static void tell_again(ScriptedNode& node);
  void advance(const Arguments& arguments);
  void apply_route(const Arguments& arguments);
  void set_workers(const Arguments& arguments);
  void set_probes(const Arguments& arguments);
  void set_store(const Arguments& arguments);
  void set_host(const Arguments& arguments);
  void finish_action(const Arguments& arguments);
  void finish_fence(const Arguments& arguments);
  void finish_examination(const Arguments& arguments);
  void finish_stop(const Arguments& arguments);
  void drain_route(const Arguments& arguments);
  void give_order(const Arguments& arguments);
  void restart(const Arguments& arguments);
  void probed(const Arguments& arguments);
  void show(const Arguments& arguments);
  void show_events(const Arguments& arguments);

  Result<ClusterController::Storing> store(const ClusterMemory& memory) override;
  void publish_route(const RouteOrder& order) override;
  void start(const Action& action) override;
  void break_off(const Action& action) override { say("break off: " + text_of(action)); }
  void record(const Event& event) override;

  ScriptedNode& node(const std::string& name);
  void decide();
  void settle();
  void ask_all();
  bool report_probes();
  void create_controller();
  void report(ActionStatus outcome);
  std::optional<ActionStatus> running(ActionKind kind, const std::string& name);
  void tell_condition();
  std::vector<NodeView> node_views();
  void say(const std::string& line) { output_ += line + "\n"; }

  Coverage& coverage_;
  std::deque<ScriptedNode> nodes_;
  FailoverPolicy policy_;
  ClusterMemory stored_;
  Now now_{Instant{std::chrono::hours(1)}, WallTime{std::chrono::hours(24 * 365 * 50)}};
  std::unique_ptr<ClusterController> controller_;
  std::vector<RouteOrder> unapplied_;
  bool workers_wait_ = false;
  bool probes_wait_ = false;
  std::string store_error_;
  std::vector<std::string> events_;  // recorded since the script asked last
  std::string output_;
  std::string last_condition_;
  std::map<std::string, std::string> last_notes_;
};

}  // namespace pgkeel::scenarios
