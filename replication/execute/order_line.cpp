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

constexpr Duration kOrderLineLimit = 2s;
constexpr Duration kLookAgain = 5ms;     // whether a session that was told to end has
constexpr Duration kSessionsEndIn = 2s;  // else the orders for that node fail, and the next one tries again
constexpr Duration kTryAgain = 2s;
constexpr const char* kOfOneThatIsAlone = "pgkeel orders";
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
std::string end_older_sessions_sql() {
  return "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE "
         "(application_name = " +
         quote_literal(kOfOneThatIsAlone) + " OR pg_catalog.starts_with(application_name, " + quote_literal(kOfTerms) +
         ")) AND pid <> pg_catalog.pg_backend_pid() AND (usename = SESSION_USER OR "
         "pg_catalog.current_setting('is_superuser') = 'on' OR "
         "(pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AND NOT EXISTS "
         "(SELECT FROM pg_catalog.pg_roles WHERE oid = usesysid AND rolsuper)))";
}

Error not_leading() {
  return Error{"nothing is sent: this pgkeel does not lead any more"};
}

// No server has said what became of it: it may be carried out yet.
bool is_lost(const Result<SqlRows, SqlError>& answer) {
  return !answer && answer.error().sqlstate.empty();
}

}  // namespace

OrderLine::OrderLine(Loop& loop, Monitor& monitor) : loop_(loop), monitor_(monitor) {
  monitor_.name_sessions("pgkeel", kOfOneThatIsAlone);
}

void OrderLine::share(const std::string& name) {
  is_shared_ = true;
  name_ = name;
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
  uncleared_.clear();
  monitor_.name_sessions(session_of_name(name_), session_of_name(name_));
  for (auto& [name, node] : nodes_) {
    node.is_clear = false;
    const auto clearing = std::exchange(node.clearing, nullptr);
    if (!clearing) continue;
    for (const auto& act : clearing->waiting) loop_.defer([act] { act(SqlError{"", not_leading().message}); });
  }
}

bool OrderLine::answers(const std::string& node) const {
  const Liveness liveness = monitor_.health(node, monotonic_now()).suspicion.liveness;
  return liveness == Liveness::kAlive || liveness == Liveness::kLate;
}

std::map<std::string, std::string> OrderLine::obstacles() const {
  std::map<std::string, std::string> obstacles;
  for (const auto& [node, uncleared] : uncleared_) {
    if (answers(node)) obstacles[node] = uncleared->why;
  }
  return obstacles;
}

Result<void> OrderLine::may_act() const {
  if (!is_shared_ || (leads_ && leads_())) return {};
  return not_leading();
}

Result<void> OrderLine::may_send(const std::string& node) const {
  if (const auto may = may_act(); !may) return may;
  if (nodes_.at(node).is_clear) return {};
  return Error{"nothing is sent: what was ordered before has no known outcome"};
}

void OrderLine::run_sql(const std::string& node, std::string sql, Duration limit, Done done) {
  when_cleared(node, [this, node, sql = std::move(sql), limit, done = std::move(done)](const auto& cleared) {
    if (!cleared) return done(cleared.error());
    monitor_.run_sql(node, sql, limit, counted(node, done), [this, node] { return may_send(node); });
  });
}

void OrderLine::run_sql_apart(const std::string& node, std::string sql, Duration limit, Done done) {
  when_cleared(node, [this, node, sql = std::move(sql), limit, done = std::move(done)](const auto& cleared) {
    if (!cleared) return done(cleared.error());
    monitor_.run_sql_apart(node, sql, limit, counted(node, done), [this, node] { return may_send(node); });
  });
}

void OrderLine::checkpoint(const std::string& node, Duration limit, Done done) {
  monitor_.run_sql_apart(
      node, "CHECKPOINT", limit, std::move(done), [this] { return may_act(); }, Monitor::Session::kOfProbes);
}

void OrderLine::supersede(const std::string& node) {
  if (nodes_[node].unanswered > 0) nodes_[node].is_clear = false;
}

OrderLine::Done OrderLine::counted(const std::string& node, Done done) {
  ++nodes_[node].unanswered;
  return [this, node, done = std::move(done)](Result<SqlRows, SqlError> answer) {
    --nodes_[node].unanswered;
    if (is_lost(answer)) nodes_[node].is_clear = false;
    done(std::move(answer));
  };
}

void OrderLine::when_cleared(const std::string& node, Cleared act) {
  if (const auto may = may_act(); !may)
    return loop_.defer([act = std::move(act), may] { act(SqlError{"", may.error().message}); });
  if (nodes_[node].is_clear) return act({});
  clear(node);
  nodes_[node].clearing->waiting.push_back(std::move(act));
}

void OrderLine::clear(const std::string& node) {
  auto& clearing = nodes_[node].clearing;
  if (clearing) return;
  clearing = std::make_unique<Clearing>(loop_, [this, node] { end_older_sessions(node); });
  clearing->began = monotonic_now();
  monitor_.give_up_sql(node);  // the look would wait for what is under way there; so it is ended with the others
  end_older_sessions(node);
}

void OrderLine::end_older_sessions(const std::string& node) {
  const auto take = [this, node, lives = std::weak_ptr(term_lives_)](const Result<SqlRows, SqlError>& answer) {
    if (!lives.expired()) take_count(node, answer);
  };
  monitor_.run_sql(node, end_older_sessions_sql(), kOrderLineLimit, take, [this] { return may_act(); });
}

void OrderLine::take_count(const std::string& node, const Result<SqlRows, SqlError>& answer) {
  if (!answer) return finish_clearing(node, answer.error());
  const std::string whose = "the sessions of earlier orders ";
  const std::string text = answer->rows.empty() ? "" : answer->rows.front().front().value_or("");
  std::size_t left = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), left).ec != std::errc())
    return finish_clearing(node, SqlError{"", whose + "cannot be counted"});
  Clearing& clearing = *nodes_.at(node).clearing;
  clearing.sessions = std::max(clearing.sessions, left);
  if (left == 0) return finish_clearing(node, {});
  if (monotonic_now() - clearing.began >= kSessionsEndIn)
    return finish_clearing(node, SqlError{"", whose + "do not end: " + std::to_string(left) + " are there still"});
  clearing.again.start_once(kLookAgain);
}

void OrderLine::finish_clearing(const std::string& node, const Result<void, SqlError>& outcome) {
  const auto clearing = std::exchange(nodes_.at(node).clearing, nullptr);
  uncleared_.erase(node);
  if (outcome) {
    nodes_.at(node).is_clear = true;
  } else if (is_shared_ && answers(node)) {
    auto& uncleared = uncleared_[node];
    uncleared = std::make_unique<Uncleared>(loop_, outcome.error().message, [this, node] { clear(node); });
    uncleared->again.start_once(kTryAgain);
  }
  if (outcome && clearing->sessions > 0 && ended_) ended_(node, clearing->sessions);
  for (const auto& act : clearing->waiting) act(outcome);
}

}  // namespace pgkeel
