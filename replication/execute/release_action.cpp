#include "replication/execute/release_action.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/monitor.h"
#include "proxy/io/timer.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kWatch = 50ms;      // between looks at slots that are still used
constexpr Duration kWatchLimit = 10s;  // … this long at most: a walreceiver comes back after five seconds

std::string our_slots() {
  return " FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical' AND pg_catalog.starts_with(slot_name, '" +
         std::string(kSlotPrefix) + "')";
}

class Releasing : public std::enable_shared_from_this<Releasing> {
 public:
  Releasing(SqlConversation conversation, Action action, ActionDone done)
      : conversation_(std::move(conversation)),
        action_(std::move(action)),
        done_(std::move(done)),
        began_(conversation_.clock()),
        timer_(conversation_.loop, [this] { look_again(); }) {
    // ALTER SYSTEM must be a statement of its own; it works in recovery.
    statements_ = {"ALTER SYSTEM RESET synchronous_standby_names", "ALTER SYSTEM RESET primary_slot_name"};
    if (action_.upstream.empty()) statements_.emplace_back("ALTER SYSTEM RESET primary_conninfo");
    statements_.emplace_back("SELECT pg_catalog.pg_reload_conf()");
  }

  void next_statement() {
    if (next_ == statements_.size()) return drop_slots();
    ask(statements_[next_++], [](Releasing& self, const SqlRows&) { self.next_statement(); });
  }

 private:
  using Step = void (*)(Releasing&, const SqlRows&);

  void ask(const std::string& sql, Step next) {
    conversation_.line.run_sql(action_.node, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), next](const SqlResult& answer) {
                                 if (!answer) return self->finish(false, describe(answer.error()));
                                 next(*self, *answer);
                               });
  }

  void drop_slots() {
    ask("SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(active_pid))" + our_slots() +
            " AND active; SELECT pg_catalog.count(pg_catalog.pg_drop_replication_slot(slot_name))" + our_slots() +
            " AND NOT active; SELECT pg_catalog.string_agg(slot_name, ', ')" + our_slots(),
        [](Releasing& self, const SqlRows& rows) {
          const std::string left = cell(rows, 0);
          if (left.empty())
            return self.finish(true, self.action_.upstream.empty()
                                         ? "stands alone: no slot and no setting of pgkeel is left"
                                         : "streams on without a slot");
          if (self.conversation_.clock() - self.began_ > kWatchLimit)
            return self.finish(false, "somebody uses " + left + " again and again");
          self.keep_alive_ = self.shared_from_this();  // the timer alone would not keep this conversation
          self.timer_.start_once(kWatch);
        });
  }

  // It may outlive those who asked for it.
  void look_again() {
    const auto self = std::exchange(keep_alive_, nullptr);
    if (!conversation_.wanted.expired()) drop_slots();
  }

  void finish(bool succeeded, std::string message) { done_(sql_outcome(action_, succeeded, std::move(message))); }

  SqlConversation conversation_;
  Action action_;
  ActionDone done_;
  Instant began_;
  Timer timer_;
  std::vector<std::string> statements_;
  std::size_t next_ = 0;
  std::shared_ptr<Releasing> keep_alive_;
};

}  // namespace

void release(const SqlConversation& conversation, const Action& action, ActionDone done) {
  std::make_shared<Releasing>(conversation, action, std::move(done))->next_statement();
}

}  // namespace pgkeel
