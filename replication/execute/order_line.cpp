#include "replication/execute/order_line.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "health/monitor.h"
#include "proxy/base/sql_quote.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerLimit = 2s;
constexpr Duration kLookAgain = 5ms;     // whether a session that was told to end has
constexpr Duration kSessionsEndIn = 2s;  // else the orders for that node fail, and the next one tries again
constexpr const char* kOfTerms = "pgkeel term ";

// PostgreSQL cuts it off after 63 bytes; what counts comes first.
std::string session_of_term(std::uint64_t term, const std::string& name) {
  return kOfTerms + std::to_string(term) + " of " + name;
}

std::string session_of_name(const std::string& name) {
  return "pgkeel " + name;
}

// Ends them, and tells how many there are still. A session of a role that this one may not end is none that pgkeel
// logs in with as long as both are set up alike; readiness tells where pg_signal_backend is missing.
std::string end_older_sessions_sql(std::uint64_t term) {
  return "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE "
         "pg_catalog.starts_with(application_name, " +
         quote_literal(kOfTerms) + ") AND NOT pg_catalog.starts_with(application_name, " +
         quote_literal(session_of_term(term, "")) +
         ") AND (usename = SESSION_USER OR pg_catalog.current_setting('is_superuser') = 'on' OR "
         "(pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AND NOT EXISTS "
         "(SELECT FROM pg_catalog.pg_roles WHERE oid = usesysid AND rolsuper)))";
}

Error not_leading() {
  return Error{"nothing is sent: this pgkeel does not lead any more"};
}

}  // namespace

void OrderLine::share(const std::string& name,
                      std::function<void(const std::string& node, std::size_t sessions)> cleared) {
  is_shared_ = true;
  name_ = name;
  cleared_ = std::move(cleared);
  monitor_.name_sessions(session_of_name(name_), session_of_name(name_));
}

void OrderLine::begin_term(std::uint64_t term, std::function<bool()> leads, const std::vector<std::string>& nodes) {
  end_term();
  term_ = term;
  leads_ = std::move(leads);
  term_lives_ = std::make_shared<bool>(true);
  monitor_.name_sessions(session_of_name(name_), session_of_term(term, name_));
  for (const auto& node : nodes) clear(node);
}

void OrderLine::end_term() {
  if (!leads_) return;
  leads_ = nullptr;
  term_lives_.reset();
  is_clear_.clear();
  monitor_.name_sessions(session_of_name(name_), session_of_name(name_));
  const auto clearings = std::exchange(clearings_, {});
  for (const auto& [node, clearing] : clearings) {
    for (const auto& act : clearing->waiting) loop_.defer([act] { act(not_leading()); });
  }
}

Result<void> OrderLine::may_act() const {
  if (!is_shared_ || (leads_ && leads_())) return {};
  return not_leading();
}

void OrderLine::run_sql(const std::string& node, std::string sql, Duration limit, Done done) {
  if (!is_shared_) return monitor_.run_sql(node, std::move(sql), limit, std::move(done));
  when_cleared(node, [this, node, sql = std::move(sql), limit, done = std::move(done)](const Result<void>& cleared) {
    if (!cleared) return done(SqlError{"", cleared.error().message});
    monitor_.run_sql(node, sql, limit, done, [this] { return may_act(); });
  });
}

void OrderLine::run_sql_apart(const std::string& node, std::string sql, Duration limit, Done done) {
  if (!is_shared_) return monitor_.run_sql_apart(node, std::move(sql), limit, std::move(done));
  when_cleared(node, [this, node, sql = std::move(sql), limit, done = std::move(done)](const Result<void>& cleared) {
    if (!cleared) return done(SqlError{"", cleared.error().message});
    monitor_.run_sql_apart(node, sql, limit, done, [this] { return may_act(); });
  });
}

void OrderLine::when_cleared(const std::string& node, std::function<void(const Result<void>& cleared)> act) {
  if (const auto may = may_act(); !may) return loop_.defer([act = std::move(act), may] { act(may); });
  if (is_clear_[node]) return act({});
  clear(node);
  clearings_.at(node)->waiting.push_back(std::move(act));
}

void OrderLine::clear(const std::string& node) {
  if (clearings_.contains(node)) return;
  auto& clearing = clearings_[node];
  clearing = std::make_unique<Clearing>(loop_, [this, node] { end_older_sessions(node); });
  clearing->began = monotonic_now();
  end_older_sessions(node);
}

void OrderLine::end_older_sessions(const std::string& node) {
  const auto take = [this, node, lives = std::weak_ptr(term_lives_)](const Result<SqlRows, SqlError>& answer) {
    if (!lives.expired()) take_count(node, answer);
  };
  monitor_.run_sql(node, end_older_sessions_sql(term_), kAnswerLimit, take, [this] { return may_act(); });
}

void OrderLine::take_count(const std::string& node, const Result<SqlRows, SqlError>& answer) {
  const std::string whose = "the sessions of pgkeels that led before ";
  if (!answer)
    return finish_clearing(node, Error{whose + "cannot be ended: " + answer.error().message +
                                       (answer.error().sqlstate.empty() ? "" : " (" + answer.error().sqlstate + ")")});
  const std::string text = answer->rows.empty() ? "" : answer->rows.front().front().value_or("");
  std::size_t left = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), left).ec != std::errc())
    return finish_clearing(node, Error{whose + "cannot be counted"});
  Clearing& clearing = *clearings_.at(node);
  clearing.sessions = std::max(clearing.sessions, left);
  if (left == 0) return finish_clearing(node, {});
  if (monotonic_now() - clearing.began >= kSessionsEndIn)
    return finish_clearing(node, Error{whose + "do not end: " + std::to_string(left) + " are there still"});
  clearing.again.start_once(kLookAgain);
}

void OrderLine::finish_clearing(const std::string& node, const Result<void>& outcome) {
  const auto found = clearings_.find(node);
  const auto clearing = std::move(found->second);
  clearings_.erase(found);
  if (outcome) is_clear_[node] = true;
  if (outcome && clearing->sessions > 0) cleared_(node, clearing->sessions);
  for (const auto& act : clearing->waiting) act(outcome);
}

}  // namespace pgkeel
