#include "replication/state/event_log.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "proxy/io/durable_file.h"
#include "replication/state/memory_text.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr const char* kSeverities[] = {"debug", "info", "warning", "error"};

LogLevel severity_named(const std::string& name) {
  for (std::size_t i = 0; i < std::size(kSeverities); ++i) {
    if (name == kSeverities[i]) return static_cast<LogLevel>(i);
  }
  return LogLevel::kInfo;
}

}  // namespace

std::string event_json(const Event& event) {
  const Json json = {
      {"id", event.id},
      {"when_ms", to_milliseconds(event.when.time_since_epoch())},
      {"when", format_wall_time(event.when)},
      {"cluster", event.cluster},
      {"severity", kSeverities[static_cast<std::size_t>(event.severity)]},
      {"kind", event.kind},
      {"node", event.node},
      {"epoch", event.epoch},
      {"text", event.text},
  };
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string write_event(const Event& event) {
  const std::string json = event_json(event);
  return checksum_of(json) + " " + json;
}

Result<Event> read_event(std::string_view line) {
  constexpr std::size_t kChecksumLength = 8;
  if (line.size() < kChecksumLength + 2 || line[kChecksumLength] != ' ' ||
      checksum_of(line.substr(kChecksumLength + 1)) != line.substr(0, kChecksumLength)) {
    return Error{"the line is damaged"};
  }
  const Json json = Json::parse(line.substr(kChecksumLength + 1), nullptr, false);
  if (!json.is_object()) return Error{"the line is no JSON object"};
  try {
    Event event;
    json.at("id").get_to(event.id);
    event.when = WallTime(std::chrono::milliseconds(json.at("when_ms").get<std::int64_t>()));
    json.at("cluster").get_to(event.cluster);
    event.severity = severity_named(json.at("severity").get<std::string>());
    json.at("kind").get_to(event.kind);
    json.at("node").get_to(event.node);
    json.at("epoch").get_to(event.epoch);
    json.at("text").get_to(event.text);
    return event;
  } catch (const Json::exception& problem) {
    return Error{std::string("the line lacks something: ") + problem.what()};
  }
}

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& directory) {
  std::unique_ptr<EventLog> log(new EventLog());
  log->path_ = directory + "/events.log";
  std::size_t good_bytes = 0;
  if (std::filesystem::exists(log->path_)) {
    const auto text = read_file(log->path_);
    if (!text) return text.error();
    std::string_view rest = *text;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      auto event = read_event(rest.substr(0, end));
      if (!event) break;
      good_bytes += end + 1;
      rest.remove_prefix(end + 1);
      log->next_id_ = event->id + 1;
      log->events_.push_back(std::move(*event));
      if (log->events_.size() > kEventsInMemory) log->events_.pop_front();
    }
    if (good_bytes < text->size()) {
      // What is cut off is kept, for whoever wants to know what damaged it.
      if (const auto kept = write_durably(log->path_ + ".damaged", text->substr(good_bytes)); !kept)
        return kept.error();
      std::error_code problem;
      std::filesystem::resize_file(log->path_, good_bytes, problem);
      if (problem) return Error{log->path_ + ": its damaged end cannot be cut off: " + problem.message()};
    }
  }
  if (const auto opened = log->open_file(); !opened) return opened.error();
  log->file_bytes_ = good_bytes;
  return log;
}

EventLog::~EventLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> EventLog::open_file() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor_ < 0) return Error{path_ + " cannot be opened: " + std::strerror(errno)};
  return {};
}

Event EventLog::record(Event event) {
  event.id = next_id_++;
  const std::string line = write_event(event) + "\n";
  if (file_bytes_ > kFileBytesMax) {
    if (std::rename(path_.c_str(), (path_ + ".1").c_str()) == 0) file_bytes_ = 0;
    ::close(descriptor_);
    if (const auto opened = open_file(); !opened) log(LogLevel::kError, "events", opened.error().message);
  }
  const auto written = ::write(descriptor_, line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size())) {
    file_bytes_ += line.size();
    told_of_failure_ = false;
  } else {
    const int reason = errno;
    // Half a line would hide all that follow: take it back.
    if (written > 0 && ::ftruncate(descriptor_, static_cast<off_t>(file_bytes_)) != 0) descriptor_ = -1;
    if (!std::exchange(told_of_failure_, true)) {
      log(LogLevel::kError, "events",
          path_ + " cannot be written: " + std::strerror(reason) + "; events stay in memory only");
    }
  }
  const std::lock_guard lock(mutex_);
  events_.push_back(event);
  if (events_.size() > kEventsInMemory) events_.pop_front();
  return event;
}

std::uint64_t EventLog::newest_id() const {
  const std::lock_guard lock(mutex_);
  return events_.empty() ? 0 : events_.back().id;
}

std::vector<Event> EventLog::since(std::uint64_t after, std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Event> found;
  for (const auto& event : events_) {
    if (event.id > after && found.size() < most) found.push_back(event);
  }
  return found;
}

}  // namespace pgkeel
