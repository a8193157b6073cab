// The clients of the demo: applications as any other, each on its own thread, through libpq and the access point.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel {

// Inserts one numbered row per transaction, and remembers which were acknowledged. After an error it connects again to
// the same address, as every driver does.
class DemoWriter {
 public:
  explicit DemoWriter(std::string conninfo);
  ~DemoWriter();  // stops

  void stop();

  struct Progress {
    std::uint64_t acknowledged = 0;
    std::optional<Instant> last_acknowledged;
    std::optional<Instant> first_after_error;  // the first acknowledgement after the last error
    std::optional<Instant> last_before_error;  // the last one before it
    std::string error;                         // the last one: "57P01 terminating connection …"
    std::uint64_t failed_connects = 0;         // a connect that was answered with an error
  };
  [[nodiscard]] Progress progress() const;
  [[nodiscard]] std::vector<std::uint64_t> acknowledged() const;

 private:
  void work();

  const std::string conninfo_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // guards progress_ and acknowledged_
  Progress progress_;
  std::vector<std::uint64_t> acknowledged_;
  std::thread thread_;
};

// What a client that was in some state when the primary died is told.
struct ClientReport {
  std::string state;
  std::string outcome;
  bool as_promised = false;
};

// Connects, goes into its state, and waits for fate to strike: finish() asks what it was told.
class DemoBystander {
 public:
  enum class State { kIdle, kInTransaction, kWaitingForResult };

  DemoBystander(std::string conninfo, State state);
  ~DemoBystander();

  [[nodiscard]] bool ready() const { return ready_; }
  ClientReport finish();

 private:
  void work();

  const std::string conninfo_;
  const State state_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> ask_{false};
  ClientReport report_;
  std::thread thread_;
};

// Connects while there is no route, and writes.
ClientReport connect_during_outage(const std::string& conninfo);

}  // namespace pgkeel
