// The way of SQL from the executor to the nodes. A pgkeel that is alone sends at once. Of several, only the leader
// sends, and to each node only after the sessions have ended in which one that led before could still have something
// done.
//
// A session of orders bears the term as its application_name. A statement is sent only if the pgkeel leads when its
// session is there already: so whoever led before has no session that the new leader does not find, and whatever it
// still sends (its process was frozen between that look and the write) goes into one that has ended. Control thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;
class Monitor;

class OrderLine {
 public:
  using Done = std::function<void(Result<SqlRows, SqlError>)>;

  OrderLine(Loop& loop, Monitor& monitor) : loop_(loop), monitor_(monitor) {}

  // One of several pgkeels, of this name: nothing is sent until it leads. `cleared`: so many sessions of pgkeels that
  // led before have ended at this node.
  void share(const std::string& name, std::function<void(const std::string& node, std::size_t sessions)> cleared);

  // It leads, as long as `leads` says so. These nodes are cleared at once, any other before its first order.
  void begin_term(std::uint64_t term, std::function<bool()> leads, const std::vector<std::string>& nodes);
  // What waits ends with an error; so does whatever is ordered from now on.
  void end_term();

  // In which orders are given now; 0: this pgkeel is alone, or none.
  [[nodiscard]] std::uint64_t term() const { return leads_ ? term_ : 0; }

  // An error: it does not lead, and nothing would be sent.
  [[nodiscard]] Result<void> may_act() const;

  // As those of Monitor, whose limits they have; an order that waits for its node has them after that.
  void run_sql(const std::string& node, std::string sql, Duration limit, Done done);
  void run_sql_apart(const std::string& node, std::string sql, Duration limit, Done done);

 private:
  struct Clearing {
    explicit Clearing(Loop& loop, std::function<void()> look) : again(loop, std::move(look)) {}

    Instant began{};
    std::size_t sessions = 0;
    std::vector<std::function<void(const Result<void>& cleared)>> waiting;
    Timer again;
  };
  void clear(const std::string& node);
  void end_older_sessions(const std::string& node);
  void take_count(const std::string& node, const Result<SqlRows, SqlError>& answer);
  void finish_clearing(const std::string& node, const Result<void>& outcome);
  void when_cleared(const std::string& node, std::function<void(const Result<void>& cleared)> act);

  Loop& loop_;
  Monitor& monitor_;
  bool is_shared_ = false;
  std::string name_;
  std::function<void(const std::string& node, std::size_t sessions)> cleared_;
  std::uint64_t term_ = 0;
  std::function<bool()> leads_;           // empty: no term
  std::map<std::string, bool> is_clear_;  // in this term
  std::map<std::string, std::unique_ptr<Clearing>> clearings_;
  std::shared_ptr<bool> term_lives_;
};

}  // namespace pgkeel
