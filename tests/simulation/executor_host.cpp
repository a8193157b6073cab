// The actions in a node's processes and files, as replication/execute's cluster_executor.cpp and agent_client.cpp carry
// them out: by pgkeel itself, or by a job of the node's agent, which is asked for until it has ended.
#include <utility>

#include "tests/simulation/agent.h"
#include "tests/simulation/executor.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kAskSoon = 20ms;          // whether a job has ended
constexpr Duration kAskLater = 100ms;        // … that takes its time, or an agent that did not answer
constexpr Duration kFencePatience = 8s;      // with an agent that does not answer
constexpr Duration kStartPatience = 13s;     // likewise
constexpr Duration kLongWorkPatience = 60s;  // likewise

Duration patience_for(ActionKind kind) {
  switch (kind) {
    case ActionKind::kFence:
      return kFencePatience;
    case ActionKind::kStartServer:
      return kStartPatience;
    default:
      return kLongWorkPatience;
  }
}

}  // namespace

struct Executor::AgentCall {
  Action action;
  HostWork::Done done;
  std::uint64_t job = 0;  // 0: not ordered yet
  Instant began;
  Instant heard_at;
  std::uint64_t life = 0;
};

void Executor::start_host_job(const Action& action, bool host_in_reach, const Done& report) {
  checkers_.host_job_started(action.node);
  broken_off_.erase(action.node);
  const Done done = [this, report](const ActionStatus& outcome) {
    checkers_.host_job_ended(outcome.action.node);
    report(outcome);
  };
  if (action.kind == ActionKind::kFence) return fence(action, host_in_reach, done);
  if (!host_in_reach) return job(1us, [=] { done(failed(action, "its host cannot be reached")); });
  carry_out(action, [=, this](const HostWork::Outcome& outcome) {
    // What its control file says then is as good a proof as a fence's.
    if (action.kind == ActionKind::kStopServer && outcome.status.succeeded)
      checkers_.durability.proven_stopped(server(action.node));
    done(outcome.status);
  });
}

void Executor::carry_out(const Action& action, const HostWork::Done& done) {
  const Server& node = server(action.node);
  if (node.host == Host::kOwn) return own_work_[node.number].start(action, done);
  const Instant now = world_.queue.now();
  call_agent(std::make_shared<AgentCall>(AgentCall{action, done, 0, now, now, life_}));
}

void Executor::break_off(const Action& action) {
  const Server& node = server(action.node);
  if (node.host == Host::kOwn) return own_work_[node.number].break_off();
  broken_off_.insert(action.node);
}

void Executor::call_agent_again(const std::shared_ptr<AgentCall>& call, Duration pause) {
  job(pause, [this, call] { call_agent(call); });
}

void Executor::call_agent(const std::shared_ptr<AgentCall>& call) {
  const std::size_t node = server(call->action.node).number;
  job(world_.delay_to(node), [this, call, node] {
    const auto& agent = world_.agents[node];
    const bool is_called = agent != nullptr && agent->up() && world_.reaches(world_.pgkeel(), world_.agent_of(node));
    if (is_called) return agent_answers(call);
    no_answer_of_agent(call);
  });
}

void Executor::no_answer_of_agent(const std::shared_ptr<AgentCall>& call) {
  if (world_.queue.now() - call->heard_at < patience_for(call->action.kind)) return call_agent_again(call, kAskLater);
  call->done({failed(call->action, "the agent was lost"), 0});
}

void Executor::agent_answers(const std::shared_ptr<AgentCall>& call) {
  Agent& agent = *world_.agents[server(call->action.node).number];
  const Action& action = call->action;
  const Instant now = world_.queue.now();
  const bool is_heard = world_.reaches(world_.agent_of(server(action.node).number), world_.pgkeel());
  const bool answer_gets_lost = !is_heard || world_.random.chance(0.03);
  agent.pgkeel_called();
  if (call->job == 0 || agent.newest_job().id != call->job) {
    const std::uint64_t id = call->job != 0 ? call->job : ++last_job_id_;
    const auto job = agent.order(id, action);
    if (answer_gets_lost) {
      call->job = id;
      return no_answer_of_agent(call);
    }
    if (!job && action.kind != ActionKind::kFence)
      return call->done({failed(action, "the agent refuses: it has other work"), 0});
    if (!job) agent.break_off();  // what an earlier pgkeel ordered does not keep a fence waiting
    call->job = job.value_or(0);
    call->heard_at = now;
    return call_agent_again(call, kAskSoon);
  }
  if (answer_gets_lost) return no_answer_of_agent(call);
  call->heard_at = now;
  const Agent::Job& job = agent.newest_job();
  switch (job.state) {
    case Agent::JobState::kRunning:
      if (broken_off_.contains(action.node)) agent.break_off();
      return call_agent_again(call, now - call->began < 1s ? kAskSoon : kAskLater);
    case Agent::JobState::kInterrupted: {
      const bool may_be_repeated = action.kind == ActionKind::kFence || action.kind == ActionKind::kExamine;
      if (!may_be_repeated || now - call->began >= patience_for(action.kind))
        return call->done({failed(action, "the agent was restarted in the middle of it"), 0});
      call->job = 0;
      return call_agent_again(call, kAskSoon);
    }
    case Agent::JobState::kDone:
      HostWork::Outcome outcome = job.outcome;
      outcome.status.action = action;
      return call->done(outcome);
  }
}

// Where the host cannot do it (its agent died meanwhile, a process does not end), SQL is tried.
void Executor::fence(const Action& action, bool host_in_reach, const Done& done) {
  if (!host_in_reach) return fence_by_sql(action, done);
  carry_out(action, [=, this](const HostWork::Outcome& outcome) {
    if (!outcome.status.succeeded) return fence_by_sql(action, done);
    checkers_.fence_reported(server(action.node).number, outcome.incarnation_before);
    done(outcome.status);
  });
}

void Executor::fence_by_sql(const Action& action, const Done& done) {
  const std::size_t node = server(action.node).number;
  const auto answer = [=](bool well) {
    ActionStatus outcome = well ? succeeded(action) : failed(action, "could not be reached");
    outcome.fence = well ? FenceStrength::kWeak : FenceStrength::kNone;
    done(outcome);
  };
  lines_[node].supersede();
  sql(
      node, [](Server& there) { there.sync.alter_system(quorum_of(kFencingStandbyName)); },
      [=, this](bool well) {
        if (!well) return answer(false);
        sql(
            node,
            [](Server& there) {
              there.sync.reload();
              there.sync.end_sessions();
            },
            answer);
      });
}

}  // namespace pgkeel::simulation
