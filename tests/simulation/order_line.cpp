#include "tests/simulation/order_line.h"

#include <algorithm>
#include <utility>

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kStatementLimit = 1s;
}  // namespace

void OrderLine::order(Work work, Answer answered) {
  if (is_clear_ || world_.mutant == Mutant::kOlderOrdersLeft) return send(std::move(work), std::move(answered));
  waiting_.push_back([this, work = std::move(work), answered = std::move(answered)](bool cleared) {
    if (!cleared) return answered(false);
    send(work, answered);
  });
  clear();
}

void OrderLine::checkpoint(Work work, Answer answered) {
  send(std::move(work), std::move(answered), false);
}

void OrderLine::supersede() {
  if (unanswered_ > 0) is_clear_ = false;
}

void OrderLine::process_ended() {
  for (const auto& sent : under_way_) {
    if (const auto statement = sent.lock(); statement && !statement->lost_at) statement->lost_at = world_.queue.now();
  }
  is_clear_ = false;
  is_clearing_ = false;
  unanswered_ = 0;
  waiting_.clear();
}

// One statement at a time is sent on the connection that ends the others, so what is under way has ended, or is lost.
void OrderLine::clear() {
  if (is_clearing_ || unanswered_ > 0) return;
  is_clearing_ = true;
  send([this](Server&) { end_lost(); },
       [this](bool well) {
         is_clearing_ = false;
         is_clear_ = well;
         go_on(well);
       });
}

void OrderLine::end_lost() {
  for (const auto& sent : under_way_) {
    if (const auto statement = sent.lock(); statement && statement->lost_at) statement->has_ended = true;
  }
}

void OrderLine::go_on(bool cleared) {
  for (const auto& act : std::exchange(waiting_, {})) act(cleared);
}

void OrderLine::send(Work work, Answer answered, bool is_ordered) {
  const auto statement = std::make_shared<Statement>();
  statement->work = std::move(work);
  statement->answered = std::move(answered);
  statement->life = life_;
  statement->sent_at = world_.queue.now();
  statement->is_ordered = is_ordered;
  if (is_ordered) {
    std::erase_if(under_way_, [](const auto& sent) { return sent.expired(); });
    under_way_.push_back(statement);
    unanswered_ += 1;
  }
  world_.queue.after(kStatementLimit, [this, statement] { tell(statement, false); });
  statement->tried_until = world_.queue.now() + world_.random.between(0s, 8s);
  world_.queue.after(world_.delay_to(node_), [this, statement] { deliver(statement); });
}

void OrderLine::tell(const Sent& statement, bool succeeded) {
  if (std::exchange(statement->is_told, true) || statement->life != life_) return;
  if (statement->is_ordered) {
    unanswered_ -= 1;
    if (!succeeded) {
      is_clear_ = false;
      statement->lost_at = world_.queue.now();
    }
  }
  statement->answered(succeeded);
  if (!waiting_.empty()) clear();
}

// Through a cut it is sent again and again, also after pgkeel has given up; a stopped server finds it when it goes on.
void OrderLine::deliver(const Sent& statement) {
  Server& there = world_.servers[node_];
  if (statement->has_ended) return;
  const bool reachable = world_.reaches(world_.pgkeel(), node_) && !there.host_down;
  const bool is_heard = world_.reaches(node_, world_.pgkeel());
  if (reachable && there.state != ProcessState::kRunning) {
    if (!is_heard) return;
    world_.queue.after(world_.delay_to(node_), [this, statement] { tell(statement, false); });
    return;
  }
  if (!reachable || there.hung) {
    if (world_.queue.now() >= statement->tried_until && !there.hung) return;
    world_.queue.after(200ms, [this, statement, incarnation = there.incarnation] {
      if (world_.servers[node_].incarnation == incarnation) deliver(statement);
    });
    return;
  }
  if (statement->is_ordered && statement->lost_at && newest_done_ > *statement->lost_at)
    world_.violated("what was ordered at " + there.name + " and got no answer is done after what was ordered later");
  if (statement->is_ordered) newest_done_ = std::max(newest_done_, statement->sent_at);
  statement->work(there);
  if (!is_heard || world_.random.chance(0.03)) return;  // the answer is lost
  world_.queue.after(world_.delay_to(node_), [this, statement] { tell(statement, true); });
}

}  // namespace pgkeel::simulation
