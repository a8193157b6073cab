// Writers on the clients' host: each inserts one numbered row per transaction through the access point, remembers what
// was acknowledged and by whom it was taken, and connects again to the same address after an error, as drivers do.
// Every other one may be impatient: it cancels a statement that takes long, and lives with whatever comes of that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/chaos/history.h"
#include "tests/support/network.h"

namespace pgkeel::chaos {

using test::Network;

class Workload {
 public:
  // Creates the table, then starts `writers` threads on `host`.
  Workload(const Network& network, const std::string& host, std::string conninfo, std::size_t writers,
           bool some_impatient);
  ~Workload();

  void stop();

  // Statements that begin from now on belong to this round.
  void begin_round(std::uint32_t round) { round_ = round; }

  [[nodiscard]] std::size_t acknowledged() const;
  [[nodiscard]] History history() const;
  [[nodiscard]] History history_of(std::uint32_t round) const;
  // Waits until so many more rows are acknowledged than now.
  [[nodiscard]] bool wait_for_more(std::size_t rows, Duration limit) const;
  // By SQLSTATE; "" where a client saw only a broken link, "connect" where it could not connect.
  [[nodiscard]] std::map<std::string, std::size_t> errors() const;

 private:
  void write(std::uint64_t first_id);
  void write_on_one_connection(std::uint64_t& id);
  void note_error(const std::string& kind);

  const Network& network_;
  const std::string host_;
  const std::string conninfo_;
  const bool some_impatient_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> round_{0};
  mutable std::mutex mutex_;  // guards the two below
  History history_;
  std::map<std::string, std::size_t> errors_;
  std::vector<std::thread> threads_;
};

}  // namespace pgkeel::chaos
