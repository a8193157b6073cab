#include "proxy/cli/demo_clients.h"

#include <chrono>
#include <utility>

#include "proxy/io/blocking_sql.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetweenRows = 2ms;
constexpr auto kAfterFailedConnect = 50ms;

std::string describe(const SqlError& error) {
  return (error.sqlstate.empty() ? "" : error.sqlstate + " ") + error.message;
}

}  // namespace

DemoWriter::DemoWriter(std::string conninfo) : conninfo_(std::move(conninfo)), thread_([this] { work(); }) {}

DemoWriter::~DemoWriter() {
  stop();
}

void DemoWriter::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

DemoWriter::Progress DemoWriter::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

std::vector<std::uint64_t> DemoWriter::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

void DemoWriter::work() {
  std::uint64_t number = 0;
  while (!stopping_) {
    auto connection = BlockingSql::connect(conninfo_);
    if (!connection) {
      {
        const std::lock_guard lock(mutex_);
        ++progress_.failed_connects;
      }
      std::this_thread::sleep_for(kAfterFailedConnect);
      continue;
    }
    while (!stopping_) {
      ++number;  // a number is used once: after an error nobody knows whether its row is there
      const auto inserted = connection->run("INSERT INTO demo (id) VALUES (" + std::to_string(number) + ")");
      const Instant now = monotonic_now();
      {
        const std::lock_guard lock(mutex_);
        if (!inserted) {
          progress_.error = describe(inserted.error());
          progress_.last_before_error = progress_.last_acknowledged;
          progress_.first_after_error.reset();
          break;
        }
        acknowledged_.push_back(number);
        progress_.acknowledged = acknowledged_.size();
        progress_.last_acknowledged = now;
        if (!progress_.error.empty() && !progress_.first_after_error) progress_.first_after_error = now;
      }
      std::this_thread::sleep_for(kBetweenRows);
    }
  }
}

DemoBystander::DemoBystander(std::string conninfo, State state)
    : conninfo_(std::move(conninfo)), state_(state), thread_([this] { work(); }) {}

DemoBystander::~DemoBystander() {
  ask_ = true;
  ask_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ClientReport DemoBystander::finish() {
  ask_ = true;
  ask_.notify_all();
  if (thread_.joinable()) thread_.join();
  return report_;
}

void DemoBystander::work() {
  switch (state_) {
    case State::kIdle:
      report_.state = "idle";
      break;
    case State::kInTransaction:
      report_.state = "in a transaction";
      break;
    case State::kWaitingForResult:
      report_.state = "waiting for a result";
      break;
  }
  auto connection = BlockingSql::connect(conninfo_);
  if (!connection) {
    report_.outcome = "could not connect: " + connection.error().message;
    ready_ = true;
    return;
  }
  if (state_ == State::kInTransaction && !connection->run("BEGIN; SELECT 1")) report_.outcome = "could not begin";
  ready_ = true;
  if (state_ != State::kWaitingForResult) ask_.wait(false);
  const auto answer = connection->run(state_ == State::kWaitingForResult ? "SELECT pg_sleep(60)" : "SELECT 1");
  report_.outcome = answer ? "no error" : describe(answer.error());
  report_.as_promised = !answer && answer.error().sqlstate == "57P01";
}

ClientReport connect_during_outage(const std::string& conninfo) {
  ClientReport report;
  report.state = "connecting";
  const Instant began = monotonic_now();
  auto connection = BlockingSql::connect(conninfo);
  if (!connection) {
    report.outcome = describe(connection.error());
    return report;
  }
  const auto written = connection->run("CREATE TEMPORARY TABLE proof (id int)");
  report.as_promised = written.has_value();
  report.outcome = written ? "held " + format_duration(monotonic_now() - began) +
                                 ", then connected to the new primary without an error"
                           : describe(written.error());
  return report;
}

}  // namespace pgkeel
