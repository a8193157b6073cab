// pgkeel's ends of its links to the agents: a call to each is always open, and what the agent says of its postmaster is
// weighed as the monitor does it. An agent that does not answer is silence, and no evidence of anything. Tests only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "health/agent_evidence.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class AgentLinks {
 public:
  explicit AgentLinks(World& world) : world_(world) {}

  void start();  // with the process
  void stop() { life_ += 1; }

  void server_died(std::size_t node);  // its agent tells at once
  void probe_answered(std::size_t node, const Observation& observation);

  // Why the node's processes and files cannot be handled; empty: nothing speaks against it.
  [[nodiscard]] std::string doubt(std::size_t node) const;

  // The postmaster is known to have ended; whether a node can be handled has changed. In pgkeel's own time.
  std::function<void(std::size_t node, const AgentEvidence::Death& death)> on_death;
  std::function<void()> on_change;

 private:
  struct Link {
    AgentEvidence evidence{0};
    Instant heard_at;  // Instant{}: never
    bool silent = true;
  };
  void call(std::size_t node);
  void word_arrives(std::size_t node, AgentWord word);
  void is_lost(std::size_t node);
  void later(Duration pause, std::function<void()> next);

  World& world_;
  std::vector<Link> links_;
  std::uint64_t life_ = 0;
};

}  // namespace pgkeel::simulation
