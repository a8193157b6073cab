// Server-sent events (HTML standard, section 9.2): what happens, and where asked for how the clusters are, to one
// reader for as long as it listens. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/time.h"
#include "replication/state/event_log.h"

namespace pgkeel {

// One message. id 0: it has none, and a reader that comes again does not tell it.
std::string server_sent_event(std::string_view name, std::uint64_t id, std::string_view data);

class EventStream {
 public:
  // `clusters` gives their JSON, or nothing where the control thread does not answer in time; empty: they are not
  // asked for. Events with a greater id than `after` are sent.
  EventStream(const EventLog& events, std::function<std::optional<std::string>()> clusters, std::uint64_t after);

  // What there is to send now; often nothing.
  std::string next(Instant now);

 private:
  const EventLog& events_;
  std::function<std::optional<std::string>()> clusters_;
  std::uint64_t after_;
  bool begun_ = false;
  Instant clusters_due_{};
  Instant sign_of_life_due_{};
};

}  // namespace pgkeel
