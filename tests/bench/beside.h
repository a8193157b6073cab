// What is measured beside a crowd: the memory of a process, an established session's round trips, and how long a client
// takes to get in. A thread of its own for each; made, asked and ended by one.
#pragma once

#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/bench_connection.h"

namespace pgkeel::test {

class ResidentMemory {
 public:
  explicit ResidentMemory(pid_t process) : process_(process) {}

  [[nodiscard]] double bytes() const { return field("VmRSS:"); }
  [[nodiscard]] double peak_bytes() const { return field("VmHWM:"); }
  void begin_peak() const;  // peak_bytes() is of the time from now on

 private:
  [[nodiscard]] double field(const std::string& name) const;

  pid_t process_;
};

// Does the same over and over, at most a thousand times a second, and times it.
class Stopwatch {
 public:
  enum class Work {
    kRoundTrips,  // of one session that was opened before
    kLogins,      // each connects, asks one question, and goes
  };
  Stopwatch(std::uint16_t port, Work work);

  // Milliseconds of each turn since the last call. Throws what went wrong.
  std::vector<double> take();

 private:
  void run(const std::stop_token& stop);

  std::uint16_t port_;
  std::optional<BenchConnection> session_;  // kRoundTrips
  std::mutex mutex_;
  std::vector<double> took_ms_;
  std::exception_ptr problem_;
  std::jthread thread_;
};

// Count, median, 99th percentile and maximum.
nlohmann::ordered_json spread_ms(std::vector<double> values);

}  // namespace pgkeel::test
