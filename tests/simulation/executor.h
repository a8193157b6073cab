// Carries out pgkeel's actions on the simulated servers: late, in vain, or with an effect that is reported as a
// failure. What was sent before pgkeel died may still take effect. Tests only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/simulation/checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

ActionStatus failed(const Action& action, std::string message);
ActionStatus succeeded(const Action& action);

class Executor {
 public:
  using Done = std::function<void(const ActionStatus& outcome)>;

  Executor(World& world, Checkers& checkers) : world_(world), checkers_(checkers) {}

  void start(const Action& action, Done report);
  void break_off(const Action& action);
  void process_ended() { life_ += 1; }  // its jobs end with it; what it has sent does not

 private:
  using Answer = std::function<void(bool succeeded)>;
  void sql(std::size_t node, std::function<void(Server&)> work, Answer answered);
  void deliver(std::size_t node, std::shared_ptr<std::function<void(Server&)>> work, std::shared_ptr<Answer> answered,
               Instant given_up_at);
  void job(Duration time, std::function<void()> next);
  void wait_until(std::function<bool()> good, std::function<bool()> bad, Instant limit, Answer done);

  void fence(const Action& action, const Done& done);
  void fence_by_sql(std::size_t node, const std::function<void(FenceStrength strength, std::uint32_t)>& report);
  void set_standby_names(const Action& action, const Done& done);
  void set_and_look(const Action& action, const Quorum& names, const Done& done);
  void look_at_walsenders(const Action& action, const Quorum& names, const Done& done, int looks_left);
  void wait_for_flag(const Action& action, const Done& done);
  void mark_position(const Action& action, const Done& done);
  void cut_off(const Action& action, const Done& done);
  void look_at_walreceiver(const Action& action, const Done& done, int looks_left, int quiet_looks);
  void promote(const Action& action, const Done& done);
  void send_promotion(const Action& action, const Done& done);
  void follow(const Action& action, const Done& done);
  void rejoin(const Action& action, const Done& done);
  void copy_and_start(const Action& action, const Done& done, bool copy);
  void start_server(const Action& action, const Done& done);
  void examine(const Action& action, const Done& done);
  void drop_slot(const Action& action, const Done& done);
  void keep_slot(const Action& action, const Done& done);
  void wait_for_start(const Action& action, const Done& done);

  [[nodiscard]] Duration delay_to(std::size_t node);
  Server& server(const std::string& name) { return world_.servers[static_cast<std::size_t>(name[0] - 'a')]; }

  World& world_;
  Checkers& checkers_;
  std::set<std::string> broken_off_;                      // nodes whose start or rejoin shall end
  std::map<std::string, std::function<void()>> copying_;  // ends the copy that a rejoin of the node began last
  std::uint64_t life_ = 0;
};

}  // namespace pgkeel::simulation
