// What the actions that are SQL have in common: each is a short conversation with a node, step by step on the control
// loop. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "config/config.h"
#include "health/monitor.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"
#include "replication/execute/order_line.h"
#include "replication/model/action.h"

namespace pgkeel {

class Loop;

// What a conversation needs. Copied into it; the references outlive it.
struct SqlConversation {
  Loop& loop;
  Monitor& monitor;
  OrderLine& line;  // for all that is sent to a node
  const ClusterConfig& cluster;
  std::function<Instant()> clock;
  std::weak_ptr<const bool> wanted;  // expired: the monitor is gone, or about to go
};

using ActionDone = std::function<void(ActionStatus)>;
using SqlResult = Result<SqlRows, SqlError>;

constexpr Duration kSqlAnswerLimit = std::chrono::seconds(2);
constexpr Duration kCheckpointLimit = std::chrono::minutes(30);

// A write of our own that waits for no standby.
constexpr const char* kOwnWrite =
    "BEGIN READ WRITE; SET LOCAL synchronous_commit = local; "
    "SELECT pg_catalog.pg_logical_emit_message(true, 'pgkeel', 'write check'); COMMIT";

inline std::string describe(const SqlError& error) {
  return error.sqlstate.empty() ? error.message : error.message + " (" + error.sqlstate + ")";
}

// A column of the first row; empty where there is none, or it is null.
inline std::string cell(const SqlRows& rows, std::size_t column) {
  if (rows.rows.empty() || rows.rows.front().size() <= column) return "";
  return rows.rows.front()[column].value_or("");
}

inline ActionStatus sql_outcome(const Action& action, bool succeeded, std::string message) {
  ActionStatus status;
  status.action = action;
  status.succeeded = succeeded;
  status.message = std::move(message);
  return status;
}

}  // namespace pgkeel
