#include "proxy/app/commit_waits.h"

#include <algorithm>
#include <set>
#include <utility>

namespace pgkeel {
namespace {

constexpr Duration kWaitsLimit = std::chrono::seconds(1);

// Where `state` is null, the role is not allowed to see what the backend does.
std::string statement_about(const std::string& process_ids) {
  return "SELECT pid FROM pg_stat_activity WHERE pid = ANY ('{" + process_ids +
         "}'::int8[]) AND state IS NOT NULL AND wait_event IS DISTINCT FROM 'SyncRep'";
}

}  // namespace

void CommitWaits::may_cancel(const std::string& node, std::uint32_t process_id, std::function<void(bool)> answer) {
  nodes_[node].next.push_back({process_id, std::move(answer)});
  if (nodes_[node].asked.empty()) ask_next(node);
}

void CommitWaits::ask_next(const std::string& name) {
  Node& node = nodes_[name];
  node.asked = std::exchange(node.next, {});
  if (node.asked.empty()) return;
  std::string process_ids;
  for (const auto& question : node.asked) {
    process_ids += (process_ids.empty() ? "" : ",") + std::to_string(question.process_id);
  }
  run_sql_(name, statement_about(process_ids), kWaitsLimit,
           [this, name, alive = std::weak_ptr<bool>(alive_)](const Result<SqlRows, SqlError>& rows) {
             if (!alive.expired()) answer_all(name, rows);
           });
}

void CommitWaits::answer_all(const std::string& name, const Result<SqlRows, SqlError>& rows) {
  std::set<std::string> may_be_cancelled;
  if (rows) {
    for (const auto& row : rows->rows) may_be_cancelled.insert(row.front().value_or(""));
  }
  const std::vector<Question> asked = std::exchange(nodes_[name].asked, {});
  ask_next(name);
  for (const auto& question : asked) question.answer(may_be_cancelled.contains(std::to_string(question.process_id)));
}

}  // namespace pgkeel
