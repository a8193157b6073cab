// pgkeel itself, as one simulated process: probes with the real failure detectors, the real controller and decision
// core, workers and executor. It can be killed between any two of its effects, can be asleep, and has nothing left of
// an earlier life but its state file. Tests only.
#pragma once

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "health/failure_detector.h"
#include "replication/execute/cluster_controller.h"
#include "tests/simulation/agent_links.h"
#include "tests/simulation/checkers.h"
#include "tests/simulation/executor.h"
#include "tests/simulation/workers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

enum class DiskMode { kWorks, kFull, kUnsure };  // unsure: half of the stores that are said to fail did not

class PgkeelProcess : public ClusterController::Effects {
 public:
  explicit PgkeelProcess(World& world);

  void start(const std::string& adopt = {});
  void kill();
  void kill_after_effects(std::size_t count) { effects_left_ = count; }
  void give_order(const OperatorOrder& order);  // by an operator, who asks once
  void sleep(Duration time);                    // stopped, starved of CPU; its worker threads go on

  DiskMode disk_mode = DiskMode::kWorks;

  [[nodiscard]] bool running() const { return controller_ != nullptr; }
  [[nodiscard]] const ClusterMemory& memory() const { return running() ? controller_->memory() : disk_.memory; }
  [[nodiscard]] Server* primary_server() const;
  [[nodiscard]] Condition condition() const;
  [[nodiscard]] Instant well_since() const;  // awake, and able to store; Instant::max(): it is not
  [[nodiscard]] bool leads_to(const std::string& node) const { return running() && workers_.all_lead_to(node); }
  [[nodiscard]] bool carries_out_orders() const;  // that are not done yet
  [[nodiscard]] bool serves_normally() const;     // as it says itself, and as its clients see it
  [[nodiscard]] std::string summary() const;
  [[nodiscard]] Instant last_acknowledged() const { return workers_.last_acknowledged(); }
  [[nodiscard]] Checkers& checkers() { return checkers_; }

 private:
  struct Probe {
    bool running = false;
    bool wanted_again = false;
    Instant started_at;
    std::uint64_t timer = 0;
  };

  Result<ClusterController::Storing> store(const ClusterMemory& memory) override;
  void write(const ClusterMemory& memory);
  void answer_later(const ClusterMemory& memory);
  void count_meddlings();
  void publish_route(const RouteOrder& order) override;
  void start(const Action& action) override;
  void break_off(const Action& action) override;
  void record(const Event& event) override;
  void effect();
  void drain_later(const RouteOrder& order);

  template <class Callable>
  void on_control(Callable work);
  void wake_up();
  void look();
  void step();
  void wake_later();

  void probe_at(std::size_t node, Instant when);
  void probe(std::size_t node);
  void probe_arrives(std::size_t node);
  void probe_ends(std::size_t node, ProbeOutcome outcome, std::shared_ptr<const NodeFacts> facts);
  [[nodiscard]] bool acts_on(std::size_t node) const;
  void node_died(std::size_t node);
  void postmaster_died(std::size_t node, Instant when, std::string detail);

  World& world_;
  Disk disk_;
  Checkers checkers_;
  Workers workers_;
  AgentLinks agent_links_;
  Executor executor_;

  std::unique_ptr<ClusterController> controller_;
  std::uint64_t life_ = 0;
  std::vector<std::uint32_t> shown_meddlings_;  // not acted on yet
  std::uint64_t wake_timer_ = 0;
  std::size_t effects_left_ = 0;  // until it is killed; 0: it is not
  Instant started_at_;
  Instant asleep_until_;
  bool was_asleep_ = false;
  std::deque<FailureDetector> detectors_;
  std::vector<NodeView> views_;
  std::vector<Probe> probes_;
};

// Runs on the control thread of this life, when it is awake.
template <class Callable>
void PgkeelProcess::on_control(Callable work) {
  if (!running()) return;
  if (world_.queue.now() < asleep_until_) {
    world_.queue.at(asleep_until_, [this, work = std::move(work), life = life_]() mutable {
      if (life == life_) on_control(std::move(work));
    });
    return;
  }
  if (was_asleep_) wake_up();
  work();
}

}  // namespace pgkeel::simulation
