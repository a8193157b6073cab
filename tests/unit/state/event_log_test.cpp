#include "replication/state/event_log.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

Event event_saying(const std::string& text) {
  Event event;
  event.when = WallTime(1'700'000'000'123ms);
  event.cluster = "orders";
  event.severity = LogLevel::kWarning;
  event.kind = "evidence";
  event.node = "a";
  event.epoch = 3;
  event.text = text;
  return event;
}

std::unique_ptr<EventLog> open_log(const test::TemporaryFolder& folder) {
  auto log = EventLog::open(folder.path());
  REQUIRE(log);
  return std::move(*log);
}

}  // namespace

TEST_CASE("events survive a restart and go on with the next id") {
  const test::TemporaryFolder folder;
  CHECK(open_log(folder)->record(event_saying("one")).id == 1);
  const auto log = open_log(folder);
  CHECK(log->record(event_saying("two")).id == 2);
  const auto events = log->since(0, 10);
  REQUIRE(events.size() == 2);
  CHECK(events[0].text == "one");
  CHECK(events[0].severity == LogLevel::kWarning);
  CHECK(events[0].when == WallTime(1'700'000'000'123ms));
  CHECK(events[1].text == "two");
  CHECK(log->since(1, 10).size() == 1);
  CHECK(log->since(2, 10).empty());
}

TEST_CASE("a log cut off at any byte keeps the whole lines before it, and takes new events") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/events.log";
  {
    const auto log = open_log(folder);
    log->record(event_saying("one"));
    log->record(event_saying("two"));
  }
  const auto whole = std::filesystem::file_size(file);
  const auto first_line = write_event(open_log(folder)->since(0, 1).front()).size() + 1;
  for (auto length = whole - 1; length > first_line; length -= 7) {
    std::filesystem::resize_file(file, length);
    const auto log = open_log(folder);
    CAPTURE(length);
    CHECK(log->since(0, 10).front().text == "one");
    CHECK(log->since(0, 10).size() == 1);
    CHECK(log->record(event_saying("two")).id == 2);
  }
}

TEST_CASE("a damaged line ends the log, and what follows it is kept aside") {
  const test::TemporaryFolder folder;
  {
    const auto log = open_log(folder);
    log->record(event_saying("one"));
    log->record(event_saying("two"));
  }
  std::fstream(folder.path() + "/events.log", std::ios::in | std::ios::out).put('x');
  CHECK(open_log(folder)->since(0, 10).empty());
  CHECK(std::filesystem::file_size(folder.path() + "/events.log.damaged") > 0);
}

TEST_CASE("a line is checked before it is believed") {
  const std::string line = write_event(event_saying("text"));
  REQUIRE(read_event(line));
  CHECK(read_event(line)->text == "text");
  CHECK_FALSE(read_event(""));
  CHECK_FALSE(read_event(line.substr(0, line.size() - 1)));
  CHECK_FALSE(read_event("00000000 {}"));
}
