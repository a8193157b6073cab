// What pgkeel orders at one server by SQL, as replication/execute's order_line.h brings it there: a statement comes
// late, in vain, after its sender has given it up or died, or with an answer that is lost; and what has no known
// outcome is ended before something newer is sent. Tests only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tests/simulation/world.h"

namespace pgkeel::simulation {

class OrderLine {
 public:
  using Work = std::function<void(Server& there)>;
  using Answer = std::function<void(bool succeeded)>;

  // `life`: of pgkeel's process, counted; nobody hears an answer to an earlier one.
  OrderLine(World& world, std::size_t node, const std::uint64_t& life) : world_(world), node_(node), life_(life) {}

  // `work` is done on the server at some moment or never, whatever pgkeel hears of it.
  void order(Work work, Answer answered);
  // The same of one that may come late.
  void checkpoint(Work work, Answer answered);
  void supersede();
  void process_ended();

 private:
  struct Statement {
    Work work;
    Answer answered;
    std::uint64_t life = 0;
    Instant sent_at;
    Instant tried_until;             // by a network that is cut
    bool is_ordered = true;          // by the time when it was sent
    bool is_told = false;            // what became of it
    std::optional<Instant> lost_at;  // nobody has told, and its sender waits no longer
    bool has_ended = false;          // its session
  };
  using Sent = std::shared_ptr<Statement>;

  void send(Work work, Answer answered, bool is_ordered = true);
  void deliver(const Sent& statement);
  void tell(const Sent& statement, bool succeeded);
  void clear();
  void end_lost();
  void go_on(bool cleared);

  World& world_;
  const std::size_t node_;
  const std::uint64_t& life_;
  bool is_clear_ = false;
  bool is_clearing_ = false;
  std::size_t unanswered_ = 0;
  std::vector<std::function<void(bool cleared)>> waiting_;
  std::vector<std::weak_ptr<Statement>> under_way_;
  Instant newest_done_;  // when it was sent
};

}  // namespace pgkeel::simulation
