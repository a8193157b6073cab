#include "replication/agent/lost_reading.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "proxy/io/child_process.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/wal_dump.h"
#include "replication/agent/wal_end.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kReadLimit = 12h;

// The segment files of one timeline.
struct Segments {
  std::uint64_t bytes = 0;  // of each
  std::set<std::uint64_t> numbers;

  [[nodiscard]] Lsn begin_of(std::uint64_t number) const { return Lsn{number * bytes}; }
};

Segments find_segments(const DataDirectory& directory, Timeline timeline) {
  Segments segments;
  std::error_code ignored;
  std::vector<std::string> names;
  for (const auto& entry : files::directory_iterator(directory.file("pg_wal"), ignored)) {
    const auto name = entry.path().filename().string();
    Timeline of = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + std::min<std::size_t>(8, name.size()), of, 16);
    if (name.size() != 24 || code != std::errc{} || of != timeline) continue;
    segments.bytes = entry.file_size(ignored);
    names.push_back(name);
  }
  if (segments.bytes == 0) return segments;
  const auto per_id = (std::uint64_t{1} << 32U) / segments.bytes;
  for (const auto& name : names) {
    std::uint64_t id = 0;
    std::uint64_t low = 0;
    std::from_chars(name.data() + 8, name.data() + 16, id, 16);
    std::from_chars(name.data() + 16, name.data() + 24, low, 16);
    segments.numbers.insert(id * per_id + low);
  }
  return segments;
}

// A stretch of the log on one timeline.
struct Stretch {
  Timeline timeline = 0;
  Lsn begin;
  std::optional<Lsn> end;
};

std::vector<Stretch> stretches_from(const TimelineHistory& history, Timeline fork_timeline, Lsn fork) {
  std::vector<Stretch> stretches;
  Lsn begin = fork;
  for (const auto& past : history.forks) {
    if (past.timeline < fork_timeline || past.end <= fork) continue;
    stretches.push_back({past.timeline, begin, past.end});
    begin = past.end;
  }
  stretches.push_back({history.timeline, begin, std::nullopt});
  return stretches;
}

class Reading {
 public:
  Reading(const LocalServerConfig& server, const Divergence& divergence, std::stop_token break_off)
      : directory_(server, std::move(break_off)), divergence_(divergence) {}

  Result<LostReading> run() {
    if (auto placed = place_fork(); !placed) return placed.error();
    const auto segments = find_segments(directory_, stretches_.front().timeline);
    if (segments.numbers.empty()) return Error{"its log of timeline " + timeline_text() + " is gone"};
    if (auto missing = skip_missing(segments); !missing) return missing.error();
    // Transactions that were open at the fork began before it: so far back is read until none can have begun earlier.
    for (std::uint64_t before = 1;; before *= 2) {
      const auto oldest = oldest_without_gap(segments);
      const auto first = stretches_.front().begin.value / segments.bytes;
      const auto wanted = first > before ? first - before : 0;
      const bool all = wanted <= oldest;
      const auto from = std::max(segments.begin_of(std::max(wanted, oldest)), begin_of_timeline_);
      auto reading = read(from);
      if (!reading) return reading;
      if (reading->history.may_begin_earlier && !all && from > begin_of_timeline_) continue;
      if (reading->history.may_begin_earlier && from > begin_of_timeline_ && oldest > 1) {
        problems_.push_back("the log before " + format_lsn(from) +
                            " is gone: what a transaction wrote before that is not counted");
        whole_ = false;
      }
      reading->problems.insert(reading->problems.begin(), problems_.begin(), problems_.end());
      reading->whole = reading->whole && whole_;
      return reading;
    }
  }

 private:
  [[nodiscard]] std::string timeline_text() const { return std::to_string(stretches_.front().timeline); }

  Result<void> place_fork() {
    auto history = directory_.history_of(divergence_.timeline);
    if (!history) {
      problems_.push_back("its timeline history cannot be read (" + history.error().message + ")");
      history = TimelineHistory{{}, divergence_.timeline};
    }
    if (divergence_.fork) {
      fork_ = *divergence_.fork;
      stretches_ = stretches_from(*history, divergence_.fork_timeline, fork_);
      for (const auto& past : history->forks) {
        if (past.timeline == stretches_.front().timeline) break;
        begin_of_timeline_ = past.end;
      }
      return {};
    }
    const auto segments = find_segments(directory_, divergence_.timeline);
    if (segments.numbers.empty())
      return Error{"its log of timeline " + std::to_string(divergence_.timeline) + " is gone"};
    begin_of_timeline_ = history->begin();
    fork_ = std::max(segments.begin_of(*segments.numbers.begin()), history->begin());
    stretches_ = {{divergence_.timeline, fork_, std::nullopt}};
    problems_.push_back(
        "where its history parted from the cluster's is not known: all transactions are listed that its "
        "log still has, from " +
        format_lsn(fork_) + " on; the cluster may have some of them");
    whole_ = false;
    return {};
  }

  Result<void> skip_missing(const Segments& segments) {
    auto& begin = stretches_.front().begin;
    const auto number = begin.value / segments.bytes;
    if (segments.numbers.contains(number)) return {};
    const auto next = segments.numbers.lower_bound(number);
    if (next == segments.numbers.end()) return Error{"its log from " + format_lsn(begin) + " on is gone"};
    problems_.push_back("its log from " + format_lsn(begin) + " to " + format_lsn(segments.begin_of(*next)) +
                        " is gone: the transactions in it cannot be told");
    whole_ = false;
    begin = segments.begin_of(*next);
    return {};
  }

  // The oldest segment from which on none is missing up to the begin of the first stretch.
  [[nodiscard]] std::uint64_t oldest_without_gap(const Segments& segments) const {
    auto number = stretches_.front().begin.value / segments.bytes;
    while (number > 0 && segments.numbers.contains(number - 1)) --number;
    return number;
  }

  Result<LostReading> read(Lsn from) {
    LostHistoryReader history(fork_);
    LostReading reading;
    reading.fork = fork_;
    reading.read_from = from;
    reading.wal_end = divergence_.wal_end.value_or(fork_);
    std::uint64_t disbelieved = 0;
    for (std::size_t index = 0; index < stretches_.size(); ++index) {
      auto stretch = stretches_[index];
      if (index == 0) stretch.begin = from;
      if (!stretch.end) stretch.end = divergence_.wal_end;
      if (stretch.end && *stretch.end <= stretch.begin) continue;
      WalDumpReader records([&](const WalDumpRecord& record) {
        reading.wal_end = std::max(reading.wal_end, record.lsn);
        history.add(record);
      });
      auto stopped = dump(stretch, records);
      if (!stopped) return stopped.error();
      if (!stopped->empty()) reading.problems.push_back("pg_waldump stopped early: " + *stopped);
      reading.whole = reading.whole && stopped->empty() && records.gaps() == 0;
      disbelieved += records.disbelieved();
      if (records.gaps() > 0) {
        reading.problems.push_back(std::to_string(records.gaps()) + " records of its log could not be understood");
      }
    }
    if (disbelieved > 0) {
      reading.problems.push_back(std::to_string(disbelieved) +
                                 " lines of pg_waldump's output follow no record before them and were left out");
    }
    reading.history = history.finish();
    return reading;
  }

  // Answers why it ended before the end of the stretch; empty: it did not.
  Result<std::string> dump(const Stretch& stretch, WalDumpReader& records) {
    std::vector<std::string> arguments = {directory_.program("pg_waldump"), "--path=" + directory_.file("pg_wal"),
                                          "--timeline=" + std::to_string(stretch.timeline),
                                          "--start=" + format_lsn(stretch.begin)};
    if (stretch.end) arguments.push_back("--end=" + format_lsn(*stretch.end));
    const auto ran = run_program({.arguments = std::move(arguments),
                                  .limit = kReadLimit,
                                  .environment = {"LC_ALL=C", "TZ=UTC"},
                                  .os_user = directory_.os_user(),
                                  .break_off = directory_.break_off(),
                                  .use_output = [&](std::string_view text) { records.feed(text); }});
    if (!ran) return ran.error();
    if (ran->broken_off) return Error{"the work was broken off"};
    records.finish();
    if (ran->timed_out) return Error{"pg_waldump was not done after " + format_duration(kReadLimit)};
    // Where the end is not known it ends with an error, there. Without one record it could not read at all.
    if (ran->exit_status == 0) return std::string();
    if (records.records() == 0) return Error{"pg_waldump: " + one_line(ran->error_output)};
    return stretch.end ? one_line(ran->error_output) : std::string();
  }

  static std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text.substr(0, text.find_last_not_of(' ') + 1);
  }

  DataDirectory directory_;
  const Divergence& divergence_;
  Lsn fork_;
  Lsn begin_of_timeline_;  // of the first stretch: no transaction that it commits began before that
  std::vector<Stretch> stretches_;
  std::vector<std::string> problems_;
  bool whole_ = true;
};

}  // namespace

Result<LostReading> read_lost_history(const LocalServerConfig& server, const Divergence& divergence,
                                      std::stop_token break_off) {
  return Reading(server, divergence, std::move(break_off)).run();
}

}  // namespace pgkeel
