// A session on its way to another process, or back: its connections and what is known of it. Nobody reads or writes
// the connections meanwhile. Made by Session::move_out(), taken by AccessPoint::take_over(). Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/io/socket.h"
#include "proxy/routing/route.h"
#include "proxy/wire/commit_watch.h"
#include "proxy/wire/startup.h"
#include "proxy/wire/transaction_tracker.h"

namespace pgkeel {

struct MovedSession {
  Socket client;

  // Past its login; between two messages in both directions, of which none is kept back.
  struct Established {
    Socket server;
    RouteTarget target;  // where that leads
    std::uint64_t epoch = 0;
    TransactionTracker transaction;
    CommitWatch commit;
    std::optional<CancelKey> cancel_key;
  };
  std::optional<Established> established;

  // Else: what the client has said so far. Its login has not begun, or can be repeated.
  std::string startup;
  std::uint32_t encryption_requests = 0;
};

}  // namespace pgkeel
