// pgkeel's worker threads with their clients: each applies a published route in its own time, and its clients write to
// the node that its route names. Tests only.
#pragma once

#include <functional>
#include <vector>

#include "tests/simulation/checkers.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class Workers {
 public:
  Workers(World& world, Checkers& checkers) : world_(world), checkers_(checkers), workers_(kWorkers) {}

  void start();  // with the process: no route
  void stop();   // with the process: every session ends at once

  void publish(const RouteOrder& order, std::function<void()> applied_by_all);

  std::function<void(std::size_t node)> on_bytes;        // from a server, on a client's link
  std::function<void(std::size_t node)> on_broken_link;  // a client's link to it broke, or was refused

  [[nodiscard]] bool all_lead_to(const std::string& node) const;
  [[nodiscard]] Instant last_acknowledged() const { return last_acknowledged_; }

 private:
  struct Worker {
    RouteOrder route;
    std::uint64_t sessions = 0;  // grows when the sessions of a route end
    Instant newest_apply;        // orders are applied in the order of their publication
  };
  void apply(std::size_t number, const RouteOrder& order);
  void write_later(std::size_t number);
  void write(std::size_t number);

  World& world_;
  Checkers& checkers_;
  std::vector<Worker> workers_;
  std::uint64_t life_ = 0;  // of the process
  Instant last_acknowledged_;
};

}  // namespace pgkeel::simulation
