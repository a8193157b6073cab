#include "replication/agent/data_directory.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <utility>

#include "proxy/io/child_process.h"
#include "proxy/io/os_user.h"
#include "replication/agent/standby_settings.h"
#include "replication/agent/wal_end.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kShortLimit = 30s;

// The words of postmaster.opts: each but the first stands in double quotes.
std::vector<std::string> words_of_options(std::string_view line) {
  std::vector<std::string> words;
  while (true) {
    const auto begin = line.find('"');
    if (begin == std::string_view::npos) return words;
    const auto end = line.find('"', begin + 1);
    if (end == std::string_view::npos) return words;
    words.emplace_back(line.substr(begin + 1, end - begin - 1));
    line.remove_prefix(end + 1);
  }
}

}  // namespace

DataDirectory::DataDirectory(LocalServerConfig settings, std::stop_token break_off)
    : settings_(std::move(settings)), break_off_(std::move(break_off)) {
  auto& folder = settings_.data_directory;
  folder = std::filesystem::path(folder + "/").lexically_normal().parent_path();
  // A link to the directory: what stands beside the directory stands beside its target, also while that is being
  // replaced and the link leads nowhere.
  std::error_code problem;
  for (int links = 0; links < 8 && std::filesystem::is_symlink(folder, problem); ++links) {
    const auto target = std::filesystem::read_symlink(folder, problem);
    folder = (std::filesystem::path(folder).parent_path() / target / "").lexically_normal().parent_path();
  }
}

std::string DataDirectory::parent() const {
  return std::filesystem::path(path()).parent_path();
}

bool DataDirectory::exists() const {
  std::error_code ignored;
  return std::filesystem::exists(file("PG_VERSION"), ignored) || std::filesystem::exists(file("global"), ignored);
}

bool DataDirectory::is_empty_or_absent() const {
  std::error_code problem;
  const auto type = std::filesystem::symlink_status(path(), problem).type();
  return type == std::filesystem::file_type::not_found || std::filesystem::is_empty(path(), problem);
}

Result<int> DataDirectory::major_version() const {
  const auto text = read_file(file("PG_VERSION"), 64);
  if (!text) return text.error();
  int version = 0;
  if (std::from_chars(text->data(), text->data() + text->size(), version).ec != std::errc())
    return Error{file("PG_VERSION") + " holds no version"};
  return version;
}

Result<FileOwner> DataDirectory::owner() const {
  const auto user = find_os_user(settings_.os_user);
  if (!user) return user.error();
  return FileOwner{user->uid, user->gid};
}

Result<std::string> DataDirectory::run(const std::string& name, std::vector<std::string> arguments, Duration limit,
                                       std::vector<std::string> environment,
                                       std::function<bool(std::string_view)> take_error_line,
                                       std::function<Duration()> silence_limit) const {
  arguments.insert(arguments.begin(), program(name));
  environment.emplace_back("LC_ALL=C");
  return run_checked({.arguments = std::move(arguments),
                      .limit = limit,
                      .environment = std::move(environment),
                      .os_user = settings_.os_user,
                      .break_off = break_off_,
                      .silence_limit = std::move(silence_limit),
                      .take_error_line = std::move(take_error_line)});
}

Result<std::string> DataDirectory::run_tool(std::vector<std::string> arguments, Duration limit,
                                            std::function<void()> each_second,
                                            std::function<bool(std::string_view)> take_error_line) const {
  return run_checked({.arguments = std::move(arguments),
                      .limit = limit,
                      .os_user = settings_.os_user,
                      .break_off = break_off_,
                      .each_second = std::move(each_second),
                      .take_error_line = std::move(take_error_line)});
}

Result<ControlData> DataDirectory::control_data() const {
  const auto ran = run_program({.arguments = {program("pg_controldata"), path()},
                                .limit = kShortLimit,
                                .environment = {"LC_ALL=C"},
                                .os_user = settings_.os_user,
                                .break_off = break_off_});
  if (!ran) return ran.error();
  if (ran->broken_off) return Error{"the work was broken off"};
  if (ran->exit_status != 0) {
    const auto said = first_line(ran->error_output);
    return Error{said.empty() ? "pg_controldata fails on " + path() : said};
  }
  return parse_control_data(ran->output + ran->error_output);  // its warnings count
}

Result<TimelineHistory> DataDirectory::history_of(Timeline timeline) const {
  if (timeline <= 1) return TimelineHistory{{}, timeline};
  const auto text = read_file(file("pg_wal/" + timeline_history_file(timeline)), 1U << 20);
  if (!text) return text.error();
  auto forks = parse_timeline_history(*text);
  if (!forks) return Error{timeline_history_file(timeline) + ": " + forks.error().message};
  return TimelineHistory{std::move(*forks), timeline};
}

Timeline DataDirectory::newest_timeline_with_wal() const {
  constexpr std::size_t kSegmentNameLength = 24;
  Timeline newest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(file("pg_wal"), ignored)) {
    const auto name = entry.path().filename().string();
    const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    if (name.size() != kSegmentNameLength || !std::ranges::all_of(name, is_hex)) continue;
    Timeline timeline = 0;
    std::from_chars(name.data(), name.data() + 8, timeline, 16);
    // Without its history it is what pg_rewind leaves of the timeline that it rewound.
    if (timeline > 1 && !std::filesystem::exists(file("pg_wal/" + timeline_history_file(timeline)), ignored)) continue;
    newest = std::max(newest, timeline);
  }
  return newest;
}

Result<WalEnd> DataDirectory::end_of_wal(const ControlData& control) const {
  WalEnd end{control.timeline(), {}};
  // A standby may have received more on a newer timeline than it had written down, or have been in its promotion.
  if (control.was_in_recovery()) end.timeline = std::max(end.timeline, newest_timeline_with_wal());
  auto start = control.checkpoint_redo;
  if (end.timeline != control.checkpoint_timeline) {
    const auto history = history_of(end.timeline);
    if (!history) return history.error();
    start = std::max(start, history->begin());
  }
  const WalGeometry geometry{control.wal_segment_bytes, control.wal_block_bytes, end.timeline};
  const auto found = find_wal_end_in(file("pg_wal"), geometry, start);
  if (!found) return found.error();
  if ((start == control.checkpoint_redo && *found <= control.checkpoint) || *found < control.min_recovery_end) {
    return Error{"the log breaks off at " + format_lsn(*found) + ", before what pg_control says has been written"};
  }
  end.lsn = *found;
  return end;
}

std::optional<std::string> DataDirectory::config_file() const {
  std::error_code ignored;
  if (const auto& configured = settings_.config_file; !configured.empty())
    return std::filesystem::is_directory(configured, ignored) ? configured + "/postgresql.conf" : configured;
  if (std::filesystem::exists(file("postgresql.conf"), ignored)) return std::nullopt;
  const auto options = read_file(file("postmaster.opts"), 65536);
  if (!options) return std::nullopt;
  constexpr std::string_view kSetting = "config_file=";
  for (auto word : words_of_options(*options)) {
    if (word.starts_with("--")) word.erase(0, 2);
    if (word.starts_with("-c")) word.erase(0, 2);
    if (word.starts_with(kSetting)) return word.substr(kSetting.size());
  }
  return std::nullopt;
}

}  // namespace pgkeel
