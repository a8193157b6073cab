// The agent beside a simulated server: it sees the postmaster die, carries out one job at a time, also when whoever
// ordered it is gone, and stops a primary when no pgkeel was heard for fence_timeout. Tests only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "health/agent_evidence.h"
#include "tests/simulation/host_work.h"

namespace pgkeel::simulation {

class Agent {
 public:
  enum class JobState { kRunning, kDone, kInterrupted };
  struct Job {
    std::uint64_t id = 0;
    Action action;
    JobState state = JobState::kDone;
    HostWork::Outcome outcome;
  };

  Agent(World& world, Server& server);

  void start();
  void die();  // the job that runs is cut off with it, and given up when it starts again
  [[nodiscard]] bool up() const { return up_; }

  void pgkeel_called();
  [[nodiscard]] AgentWord word() const;  // of the postmaster
  void postmaster_ended();

  // The job's id, which is another one where somebody has ordered the same work; nothing: it does other work.
  std::optional<std::uint64_t> order(std::uint64_t id, const Action& action);
  [[nodiscard]] const Job& newest_job() const { return job_; }
  void break_off() { work_.break_off(); }

 private:
  void fence_if_unheard(std::uint64_t life);
  void carry_out(std::uint64_t id, const Action& action);

  World& world_;
  Server& server_;
  HostWork work_;
  bool up_ = false;
  std::uint64_t life_ = 0;
  Instant pgkeel_heard_at_;
  std::optional<Instant> ended_at_;
  Job job_;  // the newest
};

}  // namespace pgkeel::simulation
