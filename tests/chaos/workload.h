// Writers on the clients' host: each inserts one numbered row per transaction through the access point, remembers what
// was acknowledged and by whom it was taken, and connects again to the same address after an error, as drivers do.
// Every other one may be impatient: it cancels a statement that takes long, and lives with whatever comes of that.
// Beside them one that only connects, asks something, and leaves, and another one that takes its time for the messages
// of its login.
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

// The one that logs in slowly: by SCRAM, which takes several messages.
inline constexpr const char* kSlowRole = "slow";

// An expression: who took the row. Also two servers that were promoted to the same timeline differ.
inline constexpr const char* kTakenBy =
    "host(inet_server_addr()) || ' ' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

class Workload {
 public:
  // Creates the table, then starts `writers` threads on `host`. The access point is `conninfos`, one after the other
  // for the writers.
  Workload(const Network& network, const std::string& host, std::vector<std::string> conninfos, std::size_t writers,
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
  [[nodiscard]] std::vector<Attempt> attempts() const;
  // Of those that only connect.
  struct Connects {
    std::size_t done = 0;
    std::size_t failed = 0;
    std::string last_failure = {};
  };
  [[nodiscard]] Connects connects() const;

 private:
  void write(std::uint64_t writer);
  void write_on_one_connection(const std::string& conninfo, std::uint64_t& id);
  void connect_again_and_again();
  void log_in_slowly_again_and_again();
  void note_connect(const std::string& failure);
  void note_error(const std::string& kind);

  const Network& network_;
  const std::string host_;
  const std::vector<std::string> conninfos_;
  const bool some_impatient_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> round_{0};
  mutable std::mutex mutex_;  // guards the four below
  History history_;
  std::vector<Attempt> attempts_;
  Connects connects_;
  std::map<std::string, std::size_t> errors_;
  std::vector<std::thread> threads_;
};

}  // namespace pgkeel::chaos
