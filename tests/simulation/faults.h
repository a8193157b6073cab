// What goes wrong in a schedule, at random and as often as it comes: any number of faults at once. Tests only.
#pragma once

#include "tests/simulation/operator.h"
#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class Faults {
 public:
  Faults(World& world, PgkeelProcess& pgkeel, Operator& mender) : world_(world), pgkeel_(pgkeel), operator_(mender) {}

  void begin(Instant until);  // faults come until then
  void heal();                // everything that was broken on purpose works again; the operator goes on mending

 private:
  void next(Instant until);
  void one();
  void crash();
  void strike();
  void hang(Server& node);
  void power_fails();
  void everything_crashes();
  void take_host_down(Server& node);
  void agent_fails();
  void cut_anything();
  void cut(std::size_t left, std::size_t right);
  void kill_pgkeel();
  void fill_disk();
  void operator_meddles();
  void operator_orders();
  void promote_by_hand();
  void restart_pgkeel_later();

  void impostor();
  void slow_disk();
  void change_standby_names();
  void change_clock();

  Server& any_or_primary();

  World& world_;
  PgkeelProcess& pgkeel_;
  Operator& operator_;
  bool healed_ = false;
};

}  // namespace pgkeel::simulation
