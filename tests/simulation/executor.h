// Carries out pgkeel's actions on the simulated servers: late, in vain, or with an effect that is reported as a
// failure. What was sent before pgkeel died may still take effect, and an agent goes on with what it was ordered. Tests
// only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "tests/simulation/checkers.h"
#include "tests/simulation/host_work.h"
#include "tests/simulation/order_line.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class Executor {
 public:
  using Done = std::function<void(const ActionStatus& outcome)>;

  Executor(World& world, Checkers& checkers);

  // `host_in_reach`: the node's processes and files can be handled, by pgkeel itself or by the node's agent.
  void start(const Action& action, bool host_in_reach, const Done& report);
  void break_off(const Action& action);
  void process_ended();  // its jobs end with it; what it has sent does not, nor what an agent carries out

 private:
  using Answer = std::function<void(bool succeeded)>;
  void sql(std::size_t node, std::function<void(Server&)> work, Answer answered) {
    lines_[node].order(std::move(work), std::move(answered));
  }
  void job(Duration time, std::function<void()> next);
  void wait_until(std::function<bool()> good, std::function<bool()> bad, Instant limit, Answer done);

  // On the node's host.
  void start_host_job(const Action& action, bool host_in_reach, const Done& report);
  void carry_out(const Action& action, const HostWork::Done& done);
  struct AgentCall;
  void call_agent(const std::shared_ptr<AgentCall>& call);
  void call_agent_again(const std::shared_ptr<AgentCall>& call, Duration pause);
  void agent_answers(const std::shared_ptr<AgentCall>& call);
  void no_answer_of_agent(const std::shared_ptr<AgentCall>& call);
  void fence(const Action& action, bool host_in_reach, const Done& done);

  // By SQL.
  void fence_by_sql(const Action& action, const Done& done);
  void set_standby_names(const Action& action, const Done& done);
  void set_and_look(const Action& action, const Quorum& names, const Done& done);
  void look_at_walsenders(const Action& action, const Quorum& names, const Done& done, int looks_left);
  void mark_position(const Action& action, const Done& done);
  void cut_off(const Action& action, const Done& done);
  struct LooksAtWalReceiver {
    int left = 0;
    int quiet = 0;  // in a row
    bool has_received = false;
  };
  void look_at_walreceiver(const Action& action, const Done& done, LooksAtWalReceiver looks);
  void promote(const Action& action, const Done& done);
  void send_promotion(const Action& action, const Done& done);
  void see_commits_wait(const Action& action, const Done& done, int looks_left);
  void follow(const Action& action, const Done& done);
  void drop_slot(const Action& action, const Done& done);
  void keep_slot(const Action& action, const Done& done);
  void checkpoint(const Action& action, const Done& done);

  Server& server(const std::string& name) { return world_.servers[static_cast<std::size_t>(name[0] - 'a')]; }

  World& world_;
  Checkers& checkers_;
  std::deque<HostWork> own_work_;     // per node: by pgkeel itself
  std::deque<OrderLine> lines_;       // per node: by SQL
  std::set<std::string> broken_off_;  // nodes whose start or rejoin by an agent shall end
  std::uint64_t last_job_id_ = 100;
  std::uint64_t life_ = 0;
};

}  // namespace pgkeel::simulation
