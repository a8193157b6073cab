#include "tests/support/writers.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "proxy/io/clock.h"
#include "tests/support/sql_connection.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

Writers::Writers(std::string conninfo, std::size_t count) : conninfo_(std::move(conninfo)) {
  SqlConnection(conninfo_).query("CREATE TABLE IF NOT EXISTS written (id text PRIMARY KEY)");
  statement_errors_of_.resize(count);
  for (std::size_t writer = 0; writer < count; ++writer) threads_.emplace_back([this, writer] { write(writer); });
}

Writers::~Writers() {
  stop();
}

void Writers::stop() {
  stopping_ = true;
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Writers::write(std::size_t writer) {
  std::size_t number = 0;
  // A test may use several Writers on one table, one after the other.
  const std::string prefix =
      std::to_string(monotonic_now().time_since_epoch().count()) + "-" + std::to_string(writer) + "-";
  while (!stopping_) {
    try {
      SqlConnection connection(conninfo_);
      while (!stopping_) {
        const std::string id = prefix + std::to_string(++number);  // never used again: its fate may stay unknown
        try {
          connection.query("INSERT INTO written VALUES ('" + id + "')");
        } catch (const SqlError& error) {
          const std::lock_guard lock(mutex_);
          ++statement_errors_of_[writer];
          const bool only_noticed = error.sqlstate.empty() && !error.notice_sqlstate.empty();
          ++statement_errors_[only_noticed ? error.notice_sqlstate + " as a notice" : error.sqlstate];
          break;
        }
        const Instant now = monotonic_now();
        {
          const std::lock_guard lock(mutex_);
          acknowledged_.push_back(id);
          acknowledged_at_.push_back(now);
        }
        std::this_thread::sleep_for(1ms);
      }
    } catch (const SqlError& error) {
      const std::lock_guard lock(mutex_);
      if (connect_errors_.size() < 100) connect_errors_.push_back(error.what());
    }
  }
}

std::size_t Writers::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_.size();
}

bool Writers::wait_for_more(std::size_t rows, Duration limit) const {
  const std::size_t goal = acknowledged() + rows;
  return wait_until([&] { return acknowledged() >= goal; }, limit);
}

std::size_t Writers::count_lost(const std::string& conninfo) const {
  std::set<std::string> present;
  for (auto& row : SqlConnection(conninfo).query("SELECT id FROM written")) present.insert(*row.front());
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(acknowledged_, [&](const std::string& id) { return !present.contains(id); }));
}

std::map<std::string, std::size_t> Writers::statement_errors() const {
  const std::lock_guard lock(mutex_);
  return statement_errors_;
}

std::size_t Writers::most_statement_errors_of_one() const {
  const std::lock_guard lock(mutex_);
  return statement_errors_of_.empty() ? 0 : std::ranges::max(statement_errors_of_);
}

std::vector<std::string> Writers::connect_errors() const {
  const std::lock_guard lock(mutex_);
  return connect_errors_;
}

std::vector<Instant> Writers::acknowledged_at() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_at_;
}

Duration Writers::longest_gap() const {
  const std::vector<Instant> times = acknowledged_at();
  Duration longest{};
  for (std::size_t i = 1; i < times.size(); ++i) longest = std::max(longest, times[i] - times[i - 1]);
  return longest;
}

}  // namespace pgkeel::test
