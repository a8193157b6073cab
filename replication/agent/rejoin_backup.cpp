// The copy of the upstream for a rebuild, the room that it takes, and how far a long program is.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/io/clock.h"
#include "replication/agent/oids.h"
#include "replication/agent/rejoin.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kBackupLimit = 48h;
constexpr Duration kSlotLimit = 30s;
constexpr Duration kLookAtSlotEvery = 200ms;
constexpr std::uint32_t kPercentStep = 10;
// Of the silence that is allowed in the middle of a copy: before its first byte the upstream writes a checkpoint, and
// after the last one WAL is still on its way.
constexpr int kBeginAndEndFactor = 10;
constexpr std::uint32_t kNearlyAllPercent = 99;

std::string escape_mapping(const std::string& path) {
  std::string text;
  for (const char c : path) {
    if (c == '=' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

// "  12345/67890 kB (18%), 0/1 tablespace", "… (18%) copied": how pg_basebackup and pg_rewind tell their progress.
std::optional<std::uint32_t> percent_in(std::string_view line) {
  constexpr std::string_view kBefore = " kB (";
  const auto at = line.find(kBefore);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint32_t percent = 0;
  const char* begin = line.data() + at + kBefore.size();
  const auto [end, code] = std::from_chars(begin, line.data() + line.size(), percent);
  if (code != std::errc{} || end == line.data() + line.size() || *end != '%') return std::nullopt;
  return std::min(percent, 100U);
}

}  // namespace

// The process at the upstream that sent to a copy which was cut off notices that when it next sends.
Result<void> Rejoin::wait_for_slot(const std::string& slot, const UpstreamAccess& upstream) const {
  const Instant limit = monotonic_now() + kSlotLimit;
  while (const auto user = upstream.slot_user(slot)) {
    if (monotonic_now() >= limit) {
      return Error{"replication slot " + slot + " of " + upstream_.node + " is in use by process " + *user +
                   " there: another server bears the name " + node_.name +
                   ", or a copy that was cut off has not ended"};
    }
    std::this_thread::sleep_for(kLookAtSlotEvery);
  }
  return {};
}

// By the tablespaces' oids: pg_default has the rest.
Result<void, PlacingError> Rejoin::check_room_beside(const UpstreamAccess& upstream) const {
  const auto told = upstream.tablespace_bytes();
  const auto bytes_of = [&](const std::string& tablespace, std::uint64_t here) {
    const auto there = told.find(tablespace);
    return there == told.end() ? here : std::max(here, there->second);
  };
  std::vector<RoomNeed> needs = {
      {directory_.parent(), bytes_of(std::to_string(kDefaultTablespace), disk_bytes_below(directory_.path()))}};
  std::error_code problem;
  if (const auto wal = directory_.file("pg_wal"); files::is_symlink(wal, problem))
    needs.push_back({files::weakly_canonical(wal, problem).parent_path(), disk_bytes_below(wal + "/")});
  const auto locations = upstream.tablespace_locations();
  if (!locations) return PlacingError{PlacingError::Kind::kOther, locations.error().message};
  for (const auto& [tablespace, location] : *locations) {
    const auto here = disk_bytes_below(directory_.file("pg_tblspc/" + tablespace) + "/");
    needs.push_back({files::path(location).parent_path(), bytes_of(tablespace, here)});
  }
  return check_room(needs, "for a new data directory");
}

Result<void, PlacingError> Rejoin::base_backup(const std::string& new_directory, const UpstreamAccess& upstream) {
  const auto other = [](const Error& error) { return PlacingError{PlacingError::Kind::kOther, error.message}; };
  const std::string slot = "pgkeel_" + node_.name;
  if (auto free = wait_for_slot(slot, upstream); !free) return other(free.error());
  const auto locations = upstream.tablespace_locations();
  if (!locations) return other(locations.error());
  std::vector<std::string> arguments = {
      "--pgdata",          new_directory, "--dbname", upstream.conninfo(), "--no-password",
      "--checkpoint=fast", "--slot",      slot,       "--wal-method",      "stream"};
  std::vector<std::string> places = {new_directory};
  std::error_code problem;
  if (files::is_symlink(directory_.file("pg_wal"), problem)) {
    places.push_back(fresh_place(files::weakly_canonical(directory_.file("pg_wal"), problem), time_stamp()));
    arguments.insert(arguments.end(), {"--waldir", places.back()});
  }
  for (const auto& [tablespace, location] : *locations) {
    places.push_back(fresh_place(location, time_stamp()));
    arguments.insert(arguments.end(),
                     {"--tablespace-mapping", escape_mapping(location) + "=" + escape_mapping(places.back())});
  }
  if (auto made = places_.make(places); !made) return problem_in(directory_.parent(), made.error());
  // Instead of a sync that says nothing for as long as it takes, everything is brought to the disk afterwards.
  arguments.insert(arguments.end(), {"--progress", "--no-sync"});
  std::optional<std::uint32_t> percent;
  const auto silence_limit = [&] {
    const bool in_the_middle = percent && *percent < kNearlyAllPercent;
    return (in_the_middle ? 1 : kBeginAndEndFactor) * options_.silence_limit;
  };
  bool for_room = false;
  const auto take_line = [&, tell = tell_percent("copying " + upstream_.node, percent)](std::string_view line) {
    for_room = for_room || complains_of_room(line);
    return tell(line);
  };
  const auto copied =
      directory_.run("pg_basebackup", arguments, kBackupLimit, upstream.environment(), take_line, silence_limit);
  copied_ = copied_ || copied || percent;
  if (!copied)
    return PlacingError{for_room ? PlacingError::Kind::kNoRoom : PlacingError::Kind::kOther, copied.error().message};
  for (const auto& place : places) {
    if (auto synced = sync_file_system(place); !synced) return problem_in(place, synced.error());
  }
  return {};
}

// Notes the percentage in each line that has one, and tells every tenth of the way.
std::function<bool(std::string_view)> Rejoin::tell_percent(const std::string& what,
                                                           std::optional<std::uint32_t>& percent) const {
  return [this, what, &percent, told = std::uint32_t{0}](std::string_view line) mutable {
    const auto found = percent_in(line);
    if (!found) return false;
    percent = found;
    if (*found >= told + kPercentStep) {
      told = *found - *found % kPercentStep;
      say_(what + ": " + std::to_string(told) + " %");
    }
    return true;
  };
}

}  // namespace pgkeel
