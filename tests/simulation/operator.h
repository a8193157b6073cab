// The operator, who mends what pgkeel cannot: servers on other hosts, collisions, settings that are not pgkeel's. Tests
// only.
#pragma once

#include <optional>

#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class Operator {
 public:
  Operator(World& world, PgkeelProcess& pgkeel) : world_(world), pgkeel_(pgkeel) {}

  void begin_mending();  // again and again from now on
  void leave_alone(std::optional<std::size_t> node) { left_alone_ = node; }
  void start(Server& node);
  void give(const OperatorOrder& order);

 private:
  void mend();
  void mend_node(Server& node);
  void mend_standby_names();
  void end_planned_work();
  void resolve_collision();
  void rebuild(Server& node, const Server& primary);

  World& world_;
  PgkeelProcess& pgkeel_;
  bool mending_ = false;
  std::optional<std::size_t> left_alone_;
  int rounds_in_collision_ = 0;
};

}  // namespace pgkeel::simulation
