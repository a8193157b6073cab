#include "replication/execute/slot_actions.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "replication/execute/order_line.h"
#include "replication/execute/sql_text.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSlotAnswerLimit = 2s;

ActionStatus outcome_of(const Action& action, const Result<SqlRows, SqlError>& answer) {
  ActionStatus status;
  status.action = action;
  status.succeeded = answer.has_value();
  if (!answer)
    status.message =
        answer.error().message + (answer.error().sqlstate.empty() ? "" : " (" + answer.error().sqlstate + ")");
  return status;
}

// These are raised before a slot is made: all are in use, one of the name is there, it is not permitted, or the server
// keeps none. Others (a full disk, a cancel, a shutdown) may come when it is there already.
bool is_refused(const std::string& sqlstate) {
  constexpr std::array<std::string_view, 4> kBefore = {"53400", "42710", "42501", "55000"};
  return std::ranges::find(kBefore, sqlstate) != kBefore.end();
}

}  // namespace

void drop_slot(OrderLine& line, const Action& action, ActionDone done) {
  const std::string sql =
      "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE NOT active AND "
      "slot_type = 'physical' AND slot_name = " +
      quote_literal(action.slot);
  line.run_sql(action.node, sql, kSlotAnswerLimit, [action, done = std::move(done)](const auto& answer) {
    ActionStatus status = outcome_of(action, answer);
    const bool ours = action.slot.starts_with(kSlotPrefix);
    if (status.succeeded && !answer->rows.empty())  // else it is gone, or has a reader since it was looked at
      status.message = "slot " + action.slot + " is dropped: " +
                       (ours ? "it kept WAL for nobody" : "it was the copy of one that is gone from the primary");
    done(std::move(status));
  });
}

void keep_slot(OrderLine& line, const Action& action, ActionDone done) {
  const std::string move_on = action.position.valid() ? advance_slot_sql(action.slot, action.position) + "; " : "";
  const std::string sql = action.is_new ? create_new_slot_sql(action.slot, action.reserves_wal)
                                        : move_on + create_slot_sql(action.slot, action.reserves_wal);
  line.run_sql(action.node, sql, kSlotAnswerLimit, [action, done = std::move(done)](const auto& answer) {
    ActionStatus status = outcome_of(action, answer);
    const bool is_made = status.succeeded && answer->rows.front().front() == "1";
    status.name_is_taken = status.succeeded && action.is_new && !is_made;
    status.nothing_was_made = action.is_new && !answer && is_refused(answer.error().sqlstate);
    if (status.name_is_taken)
      status.message = "slot " + action.slot +
                       " was made by somebody else meanwhile: it is left alone, and is no copy of the primary's";
    if (is_made)
      status.message = "slot " + action.slot + " is made: " +
                       (action.slot.starts_with(kSlotPrefix)
                            ? "from now on WAL is kept here for its node"
                            : "its reader finds it wherever the primary is, and WAL is kept for it from now on");
    done(std::move(status));
  });
}

}  // namespace pgkeel
