// A workload that knows what was acknowledged: each writer inserts one numbered row per transaction through the access
// point, and connects again to the same address after an error, as drivers do.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel::test {

class Writers {
 public:
  // Creates the table where it is missing, then starts `count` writers.
  Writers(std::string conninfo, std::size_t count);
  ~Writers();

  void stop();

  [[nodiscard]] std::size_t acknowledged() const;
  // Waits until so many more rows are acknowledged than now.
  [[nodiscard]] bool wait_for_more(std::size_t rows, Duration limit = std::chrono::seconds(60)) const;

  // After stop(): acknowledged rows that the server behind this address lacks.
  [[nodiscard]] std::size_t count_lost(const std::string& conninfo) const;
  // SQLSTATEs of failed statements ("57P01 as a notice" where libpq gave it to the notice receiver only, see SqlError;
  // "" where it saw only a broken link); and messages of failed connects.
  [[nodiscard]] std::map<std::string, std::size_t> statement_errors() const;
  // … of the writer that had the most of them.
  [[nodiscard]] std::size_t most_statement_errors_of_one() const;
  [[nodiscard]] std::vector<std::string> connect_errors() const;
  // When each row was acknowledged, to any of them.
  [[nodiscard]] std::vector<Instant> acknowledged_at() const;
  // The longest time between two of these.
  [[nodiscard]] Duration longest_gap() const;

 private:
  void write(std::size_t writer);

  const std::string conninfo_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // guards all below
  std::vector<std::string> acknowledged_;
  std::map<std::string, std::size_t> statement_errors_;
  std::vector<std::size_t> statement_errors_of_;  // by writer
  std::vector<std::string> connect_errors_;
  std::vector<Instant> acknowledged_at_;
  std::vector<std::thread> threads_;
};

}  // namespace pgkeel::test
