// Whoever reads WAL through a physical slot of his own, wherever pgkeel leads clients to: a WAL archiver, a standby
// that pgkeel does not know. They make their slots on the primary, read, stay away for a while, and drop them; and
// somebody makes slots on standbys. What each of them finds where it goes on is checked. Tests only.
#pragma once

#include <string>

#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class SlotReaders {
 public:
  SlotReaders(World& world, PgkeelProcess& pgkeel) : world_(world), pgkeel_(pgkeel) {}

  void begin();

 private:
  void turn();
  void read(const std::string& name, SlotReader& reader, Server& primary);
  void arrive(const std::string& name, SlotReader& reader, Server& primary);
  void make_slot(const std::string& name, SlotReader& reader, Server& primary);
  void drop_slot(const std::string& name, SlotReader& reader, Server& primary);
  void somebody_makes_one();

  World& world_;
  PgkeelProcess& pgkeel_;
  Instant somebody_made_one_at_{-std::chrono::hours(1)};
};

}  // namespace pgkeel::simulation
