// Counters of the data path, per cluster. Plain data: a sum over all workers at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "proxy/base/duration_histogram.h"

namespace pgkeel {

// By what is known of their transactions, when they were looked through last: WorkerPool::count_states().
struct SessionsByState {
  std::uint64_t idle = 0;
  std::uint64_t in_transaction = 0;  // one is open, and the client is to speak
  std::uint64_t busy = 0;            // a statement was sent that has not been answered yet
  std::uint64_t in_commit = 0;       // likewise, and it commits
};

struct ClusterSessionStats {
  std::string cluster;
  std::uint64_t accepted = 0;           // client connections since start
  std::uint64_t newcomers_dropped = 0;  // of these, silent ones that had to go when others waited
  std::uint64_t client_handshakes = 0;  // of TLS, that succeeded
  std::uint64_t client_handshakes_failed = 0;
  std::uint64_t open = 0;               // client links now, in whatever state
  std::uint64_t held = 0;               // of these, waiting for a route or for their turn at login_rate
  std::uint64_t released = 0;           // that waited when a route opened, and were let on to it, since start
  DurationHistogram waits;              // of those that were held and are not any more
  std::uint64_t drain_awaits = 0;       // sessions in a transaction that a switchover waits for
  std::uint64_t established = 0;        // of those that are open, past the login
  std::uint64_t closing = 0;            // likewise, that were told that they end
  std::uint64_t silent = 0;             // likewise, that have said nothing yet, nor asked for encryption
  SessionsByState by_state;             // of those that are established
  std::uint64_t logins = 0;             // server logins finished since start
  std::uint64_t logins_unanswered = 0;  // that had no answer of the server for failure_timeout
  std::uint64_t taken_over = 0;         // established sessions that came from a former process
  std::uint64_t given_away = 0;         // connections that went to the next one
  std::uint64_t cancels_forwarded = 0;
  std::uint64_t cancels_held_back = 0;  // the backend waited for a standby, or it was not known in time
  // Sessions that their server or their route ended, by what was known of their transaction.
  std::uint64_t ended_idle = 0;
  std::uint64_t ended_in_transaction = 0;
  std::uint64_t ended_busy = 0;                // a statement was on its way, or had not been answered
  std::uint64_t ended_in_commit = 0;           // a COMMIT was
  std::uint64_t commit_waits_interrupted = 0;  // sessions ended because the server acknowledged without a standby
  std::uint64_t bytes_from_clients = 0;
  std::uint64_t bytes_from_servers = 0;
  std::uint64_t closed_without_error_at_unclean_boundary = 0;  // a message had begun that could not be completed
  std::map<std::string, std::uint64_t> errors_by_sqlstate;     // FATAL errors created by the proxy
};

// Of the read-only endpoint of a cluster.
struct ReadOnlySessionStats {
  ClusterSessionStats sessions;
  std::map<std::string, std::uint64_t> by_node;  // sessions now, logins under way included
};

}  // namespace pgkeel
