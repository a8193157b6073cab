// Reads what a stopped, diverged server did beyond the fork, with its own pg_waldump. Job threads.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "replication/agent/lost_history.h"
#include "replication/agent/quarantine.h"

namespace pgkeel {

struct LostReading {
  LostHistory history;
  Lsn fork;                           // what comes from here on is the node's alone
  Lsn wal_end;                        // the end of the last record that was read
  Lsn read_from;                      // earlier than the fork: transactions that were open there
  std::vector<std::string> problems;  // what restricts it, one line each
  bool whole = true;                  // by these it lacks nothing that may have been lost
};

// Once `break_off` is requested it fails. `server`: the programs and the user; its data directory is that of the
// diverged server.
Result<LostReading> read_lost_history(const LocalServerConfig& server, const Divergence& divergence,
                                      std::stop_token break_off = {});

}  // namespace pgkeel
