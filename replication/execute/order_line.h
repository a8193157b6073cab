// The way of SQL from the executor to the nodes. What was ordered at a node, and has no known outcome, is never carried
// out after something that was ordered later: where a statement got no answer (a cut link sends it on for minutes),
// and where an earlier process may have sent one, the next order to that node first ends the sessions of all earlier
// ones, and waits until they are gone; what is under way there is given up. A pgkeel that is alone sends at once else.
// Of several, only the leader sends, and it ends the sessions of whoever led before in the same way.
//
// A session of orders bears a name that says so, of several pgkeels the term, as its application_name. A statement is
// sent only if that holds still (its node is clear, the pgkeel leads) when its session is there already: so nobody has
// a session that whoever orders later does not find, and whatever is still sent (a process was frozen between that look
// and the write) goes into one that has ended. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
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

  OrderLine(Loop& loop, Monitor& monitor);

  // `ended`: so many sessions of earlier orders have ended at this node.
  void tell_of_ended(std::function<void(const std::string& node, std::size_t sessions)> ended) {
    ended_ = std::move(ended);
  }

  // One of several pgkeels, of this name: nothing is sent until it leads.
  void share(const std::string& name);

  // It leads, as long as `leads` says so. These nodes are cleared at once, any other before its first order.
  void begin_term(std::uint64_t term, std::function<bool()> leads, const std::vector<std::string>& nodes);
  // What waits ends with an error; so does whatever is ordered from now on.
  void end_term();

  // In which orders are given now; 0: this pgkeel is alone, or none.
  [[nodiscard]] std::uint64_t term() const { return leads_ ? term_ : 0; }

  // Nodes that answer, and that could not be cleared when that was tried last, and why: no order gets there. They are
  // tried again every few seconds.
  [[nodiscard]] std::map<std::string, std::string> obstacles() const;

  // An error: it does not lead, and nothing would be sent.
  [[nodiscard]] Result<void> may_act() const;

  // As those of Monitor, whose limits they have; an order that waits for its node has them after that.
  void run_sql(const std::string& node, std::string sql, Duration limit, Done done);
  void run_sql_apart(const std::string& node, std::string sql, Duration limit, Done done);

  // No order: it may come late, and is not ended for the sake of a newer one.
  void checkpoint(const std::string& node, Duration limit, Done done);

  // What was ordered at this node so far is over, answered or not: it is not carried out after the next order.
  void supersede(const std::string& node);

 private:
  using Cleared = std::function<void(const Result<void, SqlError>& cleared)>;
  struct Clearing {
    explicit Clearing(Loop& loop, std::function<void()> look) : again(loop, std::move(look)) {}

    Instant began{};
    std::size_t sessions = 0;
    std::vector<Cleared> waiting;
    Timer again;
  };
  struct Node {
    bool is_clear = false;  // every earlier order has an answer, or no session any more
    std::size_t unanswered = 0;
    std::unique_ptr<Clearing> clearing;  // under way
  };
  struct Uncleared {
    Uncleared(Loop& loop, std::string reason, std::function<void()> try_again)
        : why(std::move(reason)), again(loop, std::move(try_again)) {}

    std::string why;
    Timer again;
  };
  void when_cleared(const std::string& node, Cleared act);
  [[nodiscard]] Result<void> may_send(const std::string& node) const;
  [[nodiscard]] Done counted(const std::string& node, Done done);
  void clear(const std::string& node);
  void end_older_sessions(const std::string& node);
  void take_count(const std::string& node, const Result<SqlRows, SqlError>& answer);
  void finish_clearing(const std::string& node, const Result<void, SqlError>& outcome);
  [[nodiscard]] bool answers(const std::string& node) const;

  Loop& loop_;
  Monitor& monitor_;
  bool is_shared_ = false;
  std::string name_;
  std::function<void(const std::string& node, std::size_t sessions)> ended_;
  std::uint64_t term_ = 0;
  std::function<bool()> leads_;  // empty: no term
  std::map<std::string, Node> nodes_;
  std::map<std::string, std::unique_ptr<Uncleared>> uncleared_;
  std::shared_ptr<bool> term_lives_ = std::make_shared<bool>(true);  // … or this, where it is alone
};

}  // namespace pgkeel
