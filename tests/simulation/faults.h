// What goes wrong in a schedule, at random; and the operator, who mends afterwards what pgkeel cannot: hosts, the
// network, disks, servers on other hosts, collisions. Tests only.
#pragma once

#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class Faults {
 public:
  Faults(World& world, PgkeelProcess& pgkeel) : world_(world), pgkeel_(pgkeel) {}

  void begin(Instant until);  // faults come until then
  void heal();                // everything that was broken on purpose works again; the operator goes on mending

 private:
  void next(Instant until);
  void one();
  void crash();
  void strike();
  void hang(Server& node);
  void cut_anything();
  void cut(std::size_t left, std::size_t right);
  void kill_pgkeel();
  void fill_disk();
  void operator_meddles();
  void promote_by_hand();
  void traffic_beside();
  void restart_pgkeel_later();

  void mend();
  void mend_node(Server& node);
  void mend_standby_names();
  void resolve_collision();
  void start(Server& node);
  void rebuild(Server& node, const Server& primary);

  Server& any() { return world_.servers[world_.random.below(world_.servers.size())]; }
  Server& any_or_primary();
  [[nodiscard]] Server* primary();

  World& world_;
  PgkeelProcess& pgkeel_;
  bool healed_ = false;
  int rounds_in_collision_ = 0;
};

}  // namespace pgkeel::simulation
