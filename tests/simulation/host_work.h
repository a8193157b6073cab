// What is done in the processes and files of one simulated server: by pgkeel itself where that is on its host, else by
// the agent beside it. One job at a time, and it ends with whoever carries it out. Tests only.
#pragma once

#include <cstdint>
#include <functional>

#include "replication/model/action.h"

namespace pgkeel::simulation {

class Server;
class World;

ActionStatus failed(const Action& action, std::string message);
ActionStatus succeeded(const Action& action);

constexpr bool is_host_job(ActionKind kind) {
  return kind == ActionKind::kFence || kind == ActionKind::kRejoin || kind == ActionKind::kStartServer ||
         kind == ActionKind::kExamine || kind == ActionKind::kStopServer;
}

class HostWork {
 public:
  struct Outcome {
    ActionStatus status;
    std::uint32_t incarnation_before = 0;  // kFence: of the server, when it was ended
  };
  using Done = std::function<void(const Outcome& outcome)>;

  HostWork(World& world, Server& server) : world_(world), server_(server) {}

  void start(const Action& action, Done done);
  void break_off();  // the start or the rejoin that runs shall end soon, done or not
  void die();        // nothing that runs goes on, nor is told of

 private:
  void later(Duration pause, std::function<void()> next);
  void wait_until(std::function<bool()> good, std::function<bool()> bad, Instant limit, std::function<void(bool)> done);
  void fence(const Action& action, const Done& done);
  void rejoin(const Action& action, const Done& done);
  void copy_and_start(const Action& action, const Done& done, bool copy);
  void start_server(const Action& action, const Done& done);
  void wait_for_start(const Action& action, const Done& done);
  void stop_server(const Action& action, const Done& done);
  void shut_down();
  void examine(const Action& action, const Done& done);

  World& world_;
  Server& server_;
  bool broken_off_ = false;
  std::function<void()> end_copy_;  // ends the copy that runs
  std::uint64_t life_ = 0;
};

}  // namespace pgkeel::simulation
