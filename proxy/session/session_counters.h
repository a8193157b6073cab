// One worker's counters for one cluster. Written by that worker only, read by any thread: no lock, no contended line.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "proxy/session/session_stats.h"
#include "proxy/wire/error_response.h"

namespace pgkeel {

class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct alignas(64) SessionCounters {
  Counter accepted;
  Counter newcomers_dropped;
  Counter client_handshakes;
  Counter client_handshakes_failed;
  Counter open;
  Counter held;
  Counter released;
  std::array<Counter, DurationHistogram::kBoundsMs.size() + 1> waits;  // by bucket
  Counter waited_nanoseconds;
  Counter drain_awaits;
  Counter established;
  Counter closing;
  Counter silent;
  Counter idle;  // these four as they were counted last
  Counter in_transaction;
  Counter busy;
  Counter in_commit;
  Counter logins;
  Counter logins_unanswered;
  Counter taken_over;
  Counter given_away;
  Counter cancels_forwarded;
  Counter cancels_held_back;
  Counter commit_waits_interrupted;
  Counter ended_idle;
  Counter ended_in_transaction;
  Counter ended_busy;
  Counter ended_in_commit;
  Counter bytes_from_clients;
  Counter bytes_from_servers;
  Counter closed_without_error_at_unclean_boundary;
  std::array<Counter, kSqlStates> errors;  // by SqlState

  void waited(Duration duration) {
    waits[DurationHistogram::bucket_of(duration)].add();
    waited_nanoseconds.add(static_cast<std::uint64_t>(duration.count()));
  }

  void add_to(ClusterSessionStats& sum) const {
    sum.accepted += accepted.value();
    sum.newcomers_dropped += newcomers_dropped.value();
    sum.client_handshakes += client_handshakes.value();
    sum.client_handshakes_failed += client_handshakes_failed.value();
    sum.open += open.value();
    sum.held += held.value();
    sum.released += released.value();
    for (std::size_t bucket = 0; bucket < waits.size(); ++bucket) sum.waits.counts[bucket] += waits[bucket].value();
    sum.waits.sum += Duration(static_cast<Duration::rep>(waited_nanoseconds.value()));
    sum.drain_awaits += drain_awaits.value();
    sum.established += established.value();
    sum.closing += closing.value();
    sum.silent += silent.value();
    sum.by_state.idle += idle.value();
    sum.by_state.in_transaction += in_transaction.value();
    sum.by_state.busy += busy.value();
    sum.by_state.in_commit += in_commit.value();
    sum.logins += logins.value();
    sum.logins_unanswered += logins_unanswered.value();
    sum.taken_over += taken_over.value();
    sum.given_away += given_away.value();
    sum.cancels_forwarded += cancels_forwarded.value();
    sum.cancels_held_back += cancels_held_back.value();
    sum.commit_waits_interrupted += commit_waits_interrupted.value();
    sum.ended_idle += ended_idle.value();
    sum.ended_in_transaction += ended_in_transaction.value();
    sum.ended_busy += ended_busy.value();
    sum.ended_in_commit += ended_in_commit.value();
    sum.bytes_from_clients += bytes_from_clients.value();
    sum.bytes_from_servers += bytes_from_servers.value();
    sum.closed_without_error_at_unclean_boundary += closed_without_error_at_unclean_boundary.value();
    for (std::size_t state = 0; state < kSqlStates; ++state) {
      const auto count = errors[state].value();
      if (count > 0) sum.errors_by_sqlstate[std::string(sqlstate_text(static_cast<SqlState>(state)))] += count;
    }
  }
};

}  // namespace pgkeel
