// The events of all clusters: the newest in memory, all in a file of checksummed lines. The file is written at once but
// not flushed to disk: an event must never hold up a failover. A torn or damaged tail ends the log when it is read.
// record(): control thread. since(): any thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "replication/execute/event.h"

namespace pgkeel {

class EventLog {
 public:
  // Reads what is there (the newest of it), cuts a torn tail off, and goes on with the next id. A file past
  // kFileBytesMax is set aside as events.log.1 (the one before is replaced).
  static Result<std::unique_ptr<EventLog>> open(const std::string& directory);
  ~EventLog();

  // Gives the event its id, and keeps it. A line that cannot be written is told once in the log; the event stays in
  // memory.
  Event record(Event event);

  // Those with an id greater than `after`, oldest first, at most `most`.
  [[nodiscard]] std::vector<Event> since(std::uint64_t after, std::size_t most) const;

  // 0: nothing has happened yet.
  [[nodiscard]] std::uint64_t newest_id() const;

  static constexpr std::size_t kEventsInMemory = 2000;
  static constexpr std::size_t kFileBytesMax = 8 * 1024 * 1024;

 private:
  EventLog() = default;
  Result<void> open_file();

  std::string path_;
  int descriptor_ = -1;
  std::size_t file_bytes_ = 0;
  bool told_of_failure_ = false;
  std::uint64_t next_id_ = 1;
  mutable std::mutex mutex_;  // guards events_
  std::deque<Event> events_;
};

// One line of the file, without its newline: checksum, blank, JSON. Pure.
std::string write_event(const Event& event);
Result<Event> read_event(std::string_view line);

// The JSON of an event, as the file and the admin endpoint show it.
std::string event_json(const Event& event);

}  // namespace pgkeel
