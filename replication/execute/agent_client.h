// A node's host, reached through the agent beside its server. Each call that changes something is a job of the agent:
// ordered under an id of its own, so that it may be sent again, and then asked for until it has ended. A job goes on
// where pgkeel or the network fails; whoever orders the same work again is told of the same job. Beside another one a
// rejoin waits for its end, a fence breaks it off, and the rest is refused. Job threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "proxy/io/boot_deadline.h"
#include "replication/agent/agent_protocol.h"
#include "replication/agent/node_host.h"
#include "replication/execute/agent_connections.h"

namespace pgkeel {

// Why the agent counts as silent, between its link and its client. Any thread.
class AgentSilence {
 public:
  explicit AgentSilence(std::string why) : why_(std::move(why)) {}
  void set(std::string why) {
    const std::lock_guard lock(mutex_);
    why_ = std::move(why);
  }
  [[nodiscard]] std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::string why_;
};

class AgentClient final : public NodeHost {
 public:
  AgentClient(std::string node, HostPort address, std::shared_ptr<AgentConnections> agent,
              std::shared_ptr<const AgentSilence> silence,
              std::shared_ptr<const BootDeadline> acting = std::make_shared<const BootDeadline>());

  [[nodiscard]] std::string doubt() const override { return silence_->why(); }
  [[nodiscard]] std::shared_ptr<const NodeHost> breakable(std::stop_token break_off) const override;
  [[nodiscard]] std::shared_ptr<const NodeHost> in_term(std::uint64_t term) const override;
  Result<NodeHostFacts> facts() const override;
  Result<Examination> examine() const override;
  Result<void> fence(Duration limit) const override;
  Result<void> start(Duration limit) const override;
  Result<std::string> start_after_crash(Duration limit) const override;
  Result<void> stop(StopMode mode, Duration limit) const override;
  Result<void> restart(StopMode mode, Duration limit) const override;
  Result<RejoinReport, RejoinError> make_standby(const RejoinOrder& order, const Progress& progress) const override;
  Result<RejoinReport, RejoinError> provision(const UpstreamServer& upstream, const Progress& progress) const override;

 private:
  [[nodiscard]] JobRequest request(JobKind kind, Duration limit) const;
  Result<RejoinReport, RejoinError> standby_by(JobRequest request, const UpstreamServer& upstream,
                                               const Progress& progress) const;
  Result<JobRecord, RejoinError> carry_out(JobRequest request, Duration patience, const Progress& progress) const;

  std::string node_;
  HostPort address_;
  std::shared_ptr<AgentConnections> agent_;
  std::shared_ptr<const AgentSilence> silence_;
  std::shared_ptr<const BootDeadline> acting_;  // asked before each order
  std::stop_token break_off_;
  std::uint64_t term_ = 0;
};

}  // namespace pgkeel
