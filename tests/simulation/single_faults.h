// One thing goes wrong at a time: a node, or a path between two, fails when all is well, and is mended after the
// cluster has gone on without it. It must do so within bounds, without the failed node. pgkeel itself may be killed
// besides. Tests only.
#pragma once

#include <functional>
#include <optional>

#include "tests/simulation/operator.h"
#include "tests/simulation/pgkeel_process.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class SingleFaults {
 public:
  SingleFaults(World& world, PgkeelProcess& pgkeel, Operator& mender);

  void begin();
  [[nodiscard]] bool over() const { return faults_left_ == 0; }
  [[nodiscard]] Duration longest_hang() const { return longest_hang_; }  // of commits, under durability = available

 private:
  enum class Stage { kWaitsForNormal, kFailed, kServedWithoutIt };

  void look();
  void wait_for_normal();
  void strike();
  void strike_primary(Server& node);
  void strike_standby(Server& node, Server& primary);
  void take_host_down(Server& node);
  void strike_agent(Server& node);
  void order_failover();
  void cut(std::size_t left, std::size_t right);
  void isolate(Server& node);
  void disturb_pgkeel();
  void wait_for_service();
  [[nodiscard]] Duration most_hanging() const;
  void watch_for_needless_failover() const;
  void mend();
  void watch_for_hanging_commits();
  void enter(Stage stage);
  [[nodiscard]] Instant now() const { return world_.queue.now(); }

  World& world_;
  PgkeelProcess& pgkeel_;
  Operator& operator_;
  std::size_t faults_left_;
  Stage stage_ = Stage::kWaitsForNormal;
  Instant stage_since_;
  Instant normal_since_ = Instant::max();
  Instant mend_at_;
  std::size_t failed_ = 0;
  bool must_serve_ = true;        // clients lead to a primary that takes writes, although the fault lasts
  bool must_acknowledge_ = true;  // … and acknowledges them
  Duration longest_hang_{};
  std::optional<std::uint64_t> epoch_must_stay_;  // nothing that clients need has failed
};

}  // namespace pgkeel::simulation
