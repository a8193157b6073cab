#include "health/sql_runner.h"

#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {

SqlRunner::SqlRunner(Loop& loop, ServerAccess& access, std::string session_name, Duration statement_timeout,
                     std::function<void()> on_lost)
    : loop_(loop),
      access_(access),
      session_name_(std::move(session_name)),
      statement_timeout_(statement_timeout),
      connection_(loop, std::move(on_lost)) {}

void SqlRunner::set_session_name(const std::string& name) {
  session_name_ = name;
  drop_other_name();
}

void SqlRunner::drop_other_name() {
  if (connection_.state() == PgConnection::State::kIdle && connected_as_ != session_name_) connection_.close();
}

void SqlRunner::run(std::string sql, Duration limit, Done done, MaySend may_send) {
  jobs_.push_back({std::move(sql), monotonic_now() + limit, std::move(done), std::move(may_send)});
  if (jobs_.size() > 1) return;
  loop_.defer([this, token = std::weak_ptr(alive_)] {
    if (!token.expired()) go_on();
  });
}

void SqlRunner::warm_up(Duration limit) {
  if (connection_.state() != PgConnection::State::kClosed || !jobs_.empty() || access_.addresses().empty()) return;
  connect(limit);
}

std::vector<SqlRunner::Done> SqlRunner::give_up() {
  if (jobs_.empty()) return {};
  std::vector<Done> dropped;
  for (auto& job : jobs_) dropped.push_back(std::move(job.done));
  jobs_.clear();
  connection_.close();
  return dropped;
}

void SqlRunner::go_on() {
  drop_other_name();
  const auto state = connection_.state();
  const bool under_way = state == PgConnection::State::kConnecting || state == PgConnection::State::kBusy;
  if (jobs_.empty() || under_way) return;
  if (access_.addresses().empty()) return finish_first(SqlError{"", access_.server().host + " was not found yet"});
  const Duration left = jobs_.front().deadline - monotonic_now();
  if (left <= Duration::zero()) return finish_first(SqlError{"", "no time left when its turn came"});
  if (state == PgConnection::State::kClosed) return connect(left);
  if (const auto& may_send = jobs_.front().may_send) {
    if (const auto answer = may_send(); !answer) return finish_first(SqlError{"", answer.error().message});
  }
  connection_.query(jobs_.front().sql, left, [this](Result<SqlRows, SqlError> answer) {
    // A transaction that a failed text left open must not swallow the next one.
    if (connection_.state() == PgConnection::State::kIdle && connection_.in_transaction()) connection_.close();
    finish_first(std::move(answer));
  });
}

void SqlRunner::connect(Duration limit) {
  const auto settings = access_.settings(statement_timeout_, session_name_);
  if (!settings) {
    if (!jobs_.empty()) finish_first(SqlError{"", settings.error().message});
    return;
  }
  connected_as_ = session_name_;
  connection_.connect(*settings, limit, [this](const Result<void, SqlError>& result) {
    if (result) return go_on();
    if (!jobs_.empty()) finish_first(result.error());
  });
}

void SqlRunner::finish_first(Result<SqlRows, SqlError> answer) {
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  const std::weak_ptr token(alive_);
  job.done(std::move(answer));  // may run another, or destroy us
  if (!token.expired()) go_on();
}

}  // namespace pgkeel
