// One cluster as several pgkeels agree on it: the workers here follow the newest route for as long as this pgkeel may
// route, and what its leader decides becomes a route of all. Level-triggered: review() looks at the whole. Control
// thread only; callbacks never come from inside a call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/admin/cluster_status.h"
#include "proxy/io/timer.h"
#include "replication/coordination/coordination.h"
#include "replication/execute/cluster_controller.h"

namespace pgkeel {

class Loop;

class AgreedCluster {
 public:
  using Done = std::function<void()>;
  // Leads the workers of this process, as WorkerPool::publish_route() does.
  using Lead = std::function<void(const RouteOrder& order, Done applied, Done drained)>;
  struct Wires {
    Lead lead;
    std::function<void(Instant until)> set_write_deadline;
    std::function<void()> changed;  // the term, the route or the memory
    std::function<void(const std::string& text)> tell;
  };

  AgreedCluster(Loop& loop, std::string cluster, Coordination& coordination, Wires wires);

  void review();
  Instant review_write_deadline();  // part of that, and all of it for a pgkeel that ends; the deadline

  // 0: this pgkeel does not lead, and decides nothing.
  [[nodiscard]] std::uint64_t term() const;
  // nullptr: nobody has stored one yet.
  [[nodiscard]] const SharedMemory* memory() const;
  // By the clock of a Membership: this pgkeel leads, or may lead clients to this node, so that nobody is promoted in
  // its place yet. In the past: neither.
  [[nodiscard]] Instant may_act_until(const std::string& node) const;
  // Nothing: none was written yet.
  [[nodiscard]] std::optional<RouteOrder> route() const;
  // Clients are let through here.
  [[nodiscard]] bool serves() const;
  // Every worker here follows the newest route, and may.
  [[nodiscard]] bool is_settled() const;
  // Why the route that this leader wants is not written; empty: it is, or none is wanted.
  [[nodiscard]] std::string unwritten() const { return wish_ ? wish_->unwritten : ""; }
  // How the members agree now.
  [[nodiscard]] AgreementStatus status() const;
  // Who leads; empty: nobody does now.
  [[nodiscard]] const std::string& leader() const { return coordination_.membership().state().leader; }

  // Leader. `written`: it is durable, or nobody knows.
  void store(const std::string& memory, Coordination::Written written) {
    coordination_.write_memory(cluster_, memory, std::move(written));
  }
  // Leader: the route that all shall follow; in place of the one before. `applied`: all do; where it opens a node,
  // those here do, and nobody can be on an older one. `drained`: likewise, of one that drains.
  void publish(const RouteOrder& order, Done applied, Done drained);
  // No more of that: its term is over.
  void forget_wish() { wish_.reset(); }

 private:
  struct Wish {
    RouteOrder order;
    Done applied;
    Done drained;
    bool writing = false;
    bool written = false;
    std::string unwritten{};  // why the newest attempt failed
    Instant write_again_at{};
  };
  void review_soon();
  void follow(Instant now, Instant until);
  void carry_out(Instant now);
  void write_wish(Instant now);
  void tell_of_waiting(std::uint64_t serial, Instant now);

  Loop& loop_;
  const std::string cluster_;
  Coordination& coordination_;
  const Wires wires_;
  Timer deadline_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool review_is_due_ = false;

  // What the workers here were told last.
  std::uint64_t orders_ = 0;  // counts them
  RouteOrder order_;
  std::uint64_t order_serial_ = 0;  // of the agreed route that it came from, or that it closes
  bool order_applied_ = false;
  bool order_drained_ = false;
  bool may_route_ = false;

  std::optional<Wish> wish_;
  std::uint64_t wishes_ = 0;
  std::uint64_t waits_for_serial_ = 0;
  Instant waits_since_{};  // for others to close; moved on when it was told
};

}  // namespace pgkeel
