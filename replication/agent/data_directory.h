// One PostgreSQL data directory and the programs that work on it: where its files are, what they say, how programs are
// run as its user. Reads only, but for run(). Blocking; any job thread.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/base/timeline_history.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/control_data.h"

namespace pgkeel {

// Where the log of a stopped server ends.
struct WalEnd {
  Timeline timeline = 0;
  Lsn lsn;
};

class DataDirectory {
 public:
  // Once `break_off` is requested the program that runs is ended, and none is started any more.
  explicit DataDirectory(LocalServerConfig settings, std::stop_token break_off = {});

  [[nodiscard]] const LocalServerConfig& settings() const { return settings_; }
  [[nodiscard]] const std::string& path() const { return settings_.data_directory; }
  [[nodiscard]] std::string file(std::string_view name) const { return path() + "/" + std::string(name); }
  [[nodiscard]] std::string beside(std::string_view suffix) const { return path() + std::string(suffix); }
  [[nodiscard]] std::string parent() const;
  [[nodiscard]] std::string program(const std::string& name) const { return settings_.bin_directory + "/" + name; }
  [[nodiscard]] const std::string& os_user() const { return settings_.os_user; }
  [[nodiscard]] const std::stop_token& break_off() const { return break_off_; }
  [[nodiscard]] const std::vector<std::string>& keep_files() const { return settings_.keep_files; }
  [[nodiscard]] bool exists() const;  // there is a server in it; an empty folder is none
  [[nodiscard]] bool is_empty_or_absent() const;

  // By PG_VERSION: 15. An error where that cannot be read.
  [[nodiscard]] Result<int> major_version() const;

  // The owner of every file that we make for the server.
  [[nodiscard]] Result<FileOwner> owner() const;

  // Runs a program of bin_directory, or one that is found in PATH, as os_user, with LC_ALL=C.
  // `take_error_line`, `silence_limit`, `each_second`: see ProgramCall.
  Result<std::string> run(const std::string& name, std::vector<std::string> arguments, Duration limit,
                          std::vector<std::string> environment = {},
                          std::function<bool(std::string_view)> take_error_line = {},
                          std::function<Duration()> silence_limit = {}) const;
  Result<std::string> run_tool(std::vector<std::string> arguments, Duration limit,
                               std::function<void()> each_second = {},
                               std::function<bool(std::string_view)> take_error_line = {}) const;

  [[nodiscard]] Result<ControlData> control_data() const;

  // Of a stopped server; see find_wal_end.
  [[nodiscard]] Result<WalEnd> end_of_wal(const ControlData& control) const;

  // From its pg_wal.
  [[nodiscard]] Result<TimelineHistory> history_of(Timeline timeline) const;

  // Where postgresql.conf is not in the directory (Debian): the one that is configured, or that the server was last
  // started with.
  [[nodiscard]] std::optional<std::string> config_file() const;

 private:
  [[nodiscard]] Timeline newest_timeline_with_wal() const;

  LocalServerConfig settings_;
  std::stop_token break_off_;
};

}  // namespace pgkeel
