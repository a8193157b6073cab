// Standbys on another history than the primary's: nobody gets that history under them. Tests only.
#pragma once

#include <map>
#include <string>

#include "replication/execute/cluster_controller.h"
#include "tests/simulation/durability_checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class PartedCheckers {
 public:
  PartedCheckers(World& world, const Disk& disk) : world_(world), disk_(disk) {}

  void stepped();  // whenever pgkeel decides
  void action_started(const Action& action) const;
  void promotion_sent(const std::string& node) const;

 private:
  // Whom a standby receives from, or will again, and on which timeline it is.
  struct Following {
    std::size_t upstream = 0;
    Timeline timeline = 0;
    Instant since;
  };

  World& world_;
  const Disk& disk_;
  std::map<std::size_t, Following> followings_;  // by standby
};

}  // namespace pgkeel::simulation
