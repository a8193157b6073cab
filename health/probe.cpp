#include "health/probe.h"

#include <cassert>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"

namespace pgkeel {

using namespace std::chrono_literals;

namespace {

// Bounds what abandoned probes leave behind on a server that is too slow to answer any.
constexpr Duration kStatementTimeout = 10s;

constexpr Duration kNoLimit = 24h;  // the probe has its own

constexpr int kMostQuestions = 4;  // first, with the rights learned, and anew where a promotion fell in between

std::string describe(const SqlError& error) {
  return error.sqlstate.empty() ? error.message : error.sqlstate + ": " + error.message;
}

}  // namespace

Probe::Probe(Loop& loop, std::string node, ServerAccess& access, Duration time_limit, std::function<void()> on_lost,
             std::function<void()> before_time_limit)
    : node_(std::move(node)),
      loop_(loop),
      access_(access),
      time_limit_(time_limit),
      before_time_limit_(std::move(before_time_limit)),
      connection_(loop, std::move(on_lost)),
      deadline_(loop, [this] { time_is_over(); }) {}

void Probe::begin(std::function<void(Observation)> done) {
  assert(!running());
  done_ = std::move(done);
  started_at_ = monotonic_now();
  connect_error_.clear();
  connected_anew_ = false;
  questions_ = 0;
  extend();
  if (connection_.state() == PgConnection::State::kIdle) {
    ask();
  } else {
    reach();
  }
}

void Probe::connect_anew() {
  if (running()) {
    kept_is_doubtful_ = true;
  } else {
    connection_.close();
  }
}

void Probe::extend() {
  if (!running()) return;
  input_read_ = false;
  deadline_.start_once(time_limit_);
}

void Probe::reach() {
  connected_anew_ = true;
  rights_ = {};
  if (!access_.addresses().empty()) return knock();
  looking_up_ = true;
  access_.look_up([this](const Result<void>& found) {
    if (!std::exchange(looking_up_, false)) return;
    if (!found) return end(ProbeOutcome::kOwnTrouble, found.error().message);
    knock();
  });
}

void Probe::knock() {
  knock_ = std::make_unique<Knock>(loop_, access_.server(), access_.addresses(),
                                   [this](const Knock::Outcome& outcome) { knocked(outcome); });
}

void Probe::knocked(const Knock::Outcome& outcome) {
  knock_.reset();
  if (outcome.result != KnockResult::kOpened) access_.look_up(nullptr);  // perhaps it has moved
  switch (outcome.result) {
    case KnockResult::kOpened:
      if (!connect_error_.empty()) return end(ProbeOutcome::kTimedOut, connect_error_);
      return connect();
    case KnockResult::kRefused:
      return end(ProbeOutcome::kRefused, outcome.detail);
    case KnockResult::kNoAnswer:
      return end(ProbeOutcome::kTimedOut, outcome.detail);
    case KnockResult::kOwnTrouble:
      return end(ProbeOutcome::kOwnTrouble, outcome.detail);
  }
}

void Probe::connect() {
  const auto settings = access_.settings(kStatementTimeout, session_name_);
  if (!settings) return end(ProbeOutcome::kOwnTrouble, settings.error().message);
  connection_.connect(*settings, kNoLimit, [this](const Result<void, SqlError>& result) {
    if (result) return ask();
    connect_failed(result.error());
  });
}

void Probe::connect_failed(const SqlError& error) {
  // A server that says what we cannot go on with lives: a wrong certificate must not end in a failover.
  if (error.sqlstate.empty() && error.server_spoke) return end(ProbeOutcome::kAliveOnly, error.message);
  if (error.sqlstate.empty()) {
    connect_error_ = error.message.empty() ? "the link broke" : error.message;
    return knock();
  }
  // 57P03: cannot connect now. 57P01 and 57P02: a shutdown, or a crash of a backend, caught us while we logged in.
  const bool starting = error.sqlstate == "57P03" || error.sqlstate == "57P01" || error.sqlstate == "57P02";
  end(starting ? ProbeOutcome::kStarting : ProbeOutcome::kAliveOnly, describe(error));
}

void Probe::ask() {
  questions_ += 1;
  connection_.query(probe_query_text(rights_), kNoLimit, [this](const Result<SqlRows, SqlError>& result) {
    if (result) return answered(*result);
    ask_failed(result.error());
  });
}

void Probe::answered(const SqlRows& rows) {
  const bool one_value = rows.rows.size() == 1 && rows.rows[0].size() == 1 && rows.rows[0][0].has_value();
  auto answer = parse_probe_answer(one_value ? *rows.rows[0][0] : "");
  if (!answer) return end(ProbeOutcome::kAliveOnly, answer.error().message);
  if (answer->rights != rights_ && questions_ < kMostQuestions) {
    rights_ = answer->rights;
    return ask();
  }
  end(ProbeOutcome::kAnswered, "", std::make_shared<const NodeFacts>(std::move(answer->facts)));
}

void Probe::ask_failed(const SqlError& error) {
  if (connection_.state() != PgConnection::State::kIdle) {
    if (!connected_anew_) return reach();
    connect_error_ = describe(error);
    return knock();
  }
  const bool role_changed = error.sqlstate == "55000";  // a promotion fell into the question
  const bool right_lost = error.sqlstate == "42501" && rights_ != ProbeRights{};
  if (right_lost) rights_ = {};
  if ((role_changed || right_lost) && questions_ < kMostQuestions) return ask();
  end(ProbeOutcome::kAliveOnly, describe(error));
}

void Probe::time_is_over() {
  before_time_limit_();
  if (deadline_.active()) return;  // extended
  if (!input_read_) {
    input_read_ = true;
    deadline_.start_once(1ms);  // the loop runs timers before it reads: give an answer that is here its chance
    return;
  }
  const std::string within = " within " + format_duration(time_limit_);
  if (looking_up_)
    return end(ProbeOutcome::kOwnTrouble, "the name " + access_.server().host + " was not found" + within);
  end(ProbeOutcome::kTimedOut, "no answer" + within);
}

void Probe::end(ProbeOutcome outcome, std::string detail, std::shared_ptr<const NodeFacts> facts) {
  deadline_.stop();
  knock_.reset();
  looking_up_ = false;
  if (std::exchange(kept_is_doubtful_, false) || connection_.state() != PgConnection::State::kIdle) connection_.close();
  const auto done = std::exchange(done_, nullptr);
  done({.node = node_,
        .started_at = started_at_,
        .finished_at = monotonic_now(),
        .outcome = outcome,
        .detail = std::move(detail),
        .facts = std::move(facts)});
}

}  // namespace pgkeel
