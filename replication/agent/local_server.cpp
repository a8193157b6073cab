#include "replication/agent/local_server.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "proxy/io/listening.h"
#include "proxy/io/postmaster_file.h"
#include "replication/agent/lock_files.h"
#include "replication/agent/rejoin.h"
#include "replication/agent/rejoin_marker.h"
#include "replication/agent/server_processes.h"
#include "replication/agent/standby_files.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kQuitGrace = 100ms;  // an immediate shutdown tells the clients 57P02; it takes a few milliseconds
constexpr Duration kLookAgain = 20ms;
constexpr Duration kReadyLimit = 10min;   // after a rejoin; a standby with more WAL to replay goes on by itself
constexpr Duration kOrphanPatience = 5s;  // children see their postmaster's end within milliseconds, busy ones later
constexpr std::uintmax_t kStartLogBytesMax = 16U << 20;

void rotate_start_log(const std::string& log) {
  std::error_code ignored;
  if (files::file_size(log, ignored) > kStartLogBytesMax && !ignored) files::rename(log, log + ".old", ignored);
}

// The last thing that the server complained of since its log was `bytes_before` long.
std::string last_complaint(const std::string& log, std::uintmax_t bytes_before) {
  const auto text = read_file(log);
  if (!text || text->size() <= bytes_before) return {};
  const auto lines = std::string_view(*text).substr(bytes_before);
  std::size_t found = std::string_view::npos;
  for (const char* word : {"PANIC:", "FATAL:"}) {
    const auto position = lines.rfind(word);
    if (position != std::string_view::npos && (found == std::string_view::npos || position > found)) found = position;
  }
  if (found == std::string_view::npos) return {};
  return ": " + std::string(lines.substr(found, lines.find('\n', found) - found));
}

Error still_starting(const DataDirectory& directory, Duration limit) {
  return Error{"the server in " + directory.path() + " does not accept connections yet after " +
               format_duration(limit) + "; it goes on starting"};
}

Error broken_off(const DataDirectory& directory) {
  return Error{"the wait for the server in " + directory.path() + " was broken off"};
}

Error somebody_starts_it(const DataDirectory& directory) {
  return Error{"somebody starts the server in " + directory.path() + ": it is left alone until it is looked at anew"};
}

Result<void> wait_until_ready(const DataDirectory& directory, pid_t postmaster, Duration limit) {
  const Instant deadline = monotonic_now() + limit;
  while (true) {
    const auto file = read_postmaster_file(directory.path());
    if (file && (file->status == "ready" || file->status == "standby")) return {};
    const char state = process_state(postmaster);
    if (state == 0 || state == 'Z') return Error{"the server in " + directory.path() + " ended while it started"};
    if (directory.break_off().stop_requested()) return broken_off(directory);
    if (monotonic_now() >= deadline) return still_starting(directory, limit);
    wait_for_process_end(postmaster, kLookAgain);
  }
}

std::string join(const std::vector<std::int32_t>& pids) {
  std::string text;
  for (const auto pid : pids) text += (text.empty() ? "" : ", ") + std::to_string(pid);
  return text;
}

}  // namespace

LocalServer::LocalServer(std::string node, HostPort address, LocalServerConfig settings,
                         std::string quarantine_directory)
    : node_(std::move(node)),
      address_(std::move(address)),
      settings_(std::move(settings)),
      quarantine_directory_(quarantine_directory.empty() ? settings_.quarantine : std::move(quarantine_directory)),
      claim_(std::make_shared<DirectoryClaim>(settings_.data_directory)) {}

Result<void> LocalServer::claim() const {
  const auto taken = claim_->take();
  if (taken) return {};
  return Error{taken.error().message};
}

LocalServer LocalServer::until(std::stop_token break_off) const {
  LocalServer server = *this;
  server.break_off_ = std::move(break_off);
  return server;
}

LocalServer LocalServer::as_node(std::string node, HostPort address) const {
  LocalServer server = *this;
  server.node_ = std::move(node);
  server.address_ = std::move(address);
  return server;
}

std::string LocalServer::what_is_foreign(bool any_process) const {
  const auto& path = settings_.data_directory;
  const auto file = read_postmaster_file(path);
  if (file && file->port && *file->port != address_.port) {
    return path + "/postmaster.pid is of a server on port " + std::to_string(*file->port) + ", and " + node_ +
           " is on " + std::to_string(address_.port) + ": the data directory of another node is configured here";
  }
  if (any_process || !somebody_listens_at(address_)) return {};
  return "no server runs in " + path + ", but something listens at " + format_host_port(address_) +
         ": the data directory is not that of " + node_;
}

LocalServerState LocalServer::look() const {
  const DataDirectory directory(settings_, break_off_);
  LocalServerState state;
  auto found = find_server_processes(directory.path());
  state.foreign = what_is_foreign(!found.pids.empty() || !found.unidentified.empty());
  const auto file = read_postmaster_file(directory.path());
  const auto postmaster = std::ranges::find(found.pids, file ? file->pid : 0);
  if (postmaster != found.pids.end()) {
    state.postmaster_pid = *postmaster;
    found.pids.erase(postmaster);
  }
  state.other_pids.assign(found.pids.begin(), found.pids.end());
  state.unidentified_pids.assign(found.unidentified.begin(), found.unidentified.end());
  std::error_code ignored;
  state.has_standby_signal = files::exists(directory.file("standby.signal"), ignored);
  state.data_directory_exists = directory.exists();
  state.rejoin_cut_off = RejoinMarker(directory).exists();
  return state;
}

Result<ControlData> LocalServer::control_data() const {
  return DataDirectory(settings_, break_off_).control_data();
}

Result<void> LocalServer::start(Duration limit) const {
  if (auto claimed = claim(); !claimed) return claimed;
  const DataDirectory directory(settings_, break_off_);
  const RejoinMarker marker(directory);
  if (marker.exists()) {
    return Error{"the data directory " + directory.path() + " was left half changed by a rejoin that was cut off (" +
                 marker.path() + "); it must be rejoined"};
  }
  return start_in(directory, limit);
}

Result<void> LocalServer::start_in(const DataDirectory& directory, Duration limit) const {
  auto state = look();
  const Instant orphans_until = monotonic_now() + std::min(kOrphanPatience, limit);
  while (!state.postmaster_pid && !state.other_pids.empty() && monotonic_now() < orphans_until) {
    if (break_off_.stop_requested()) return broken_off(directory);
    wait_for_process_end(state.other_pids.front(), kLookAgain);
    state = look();
  }
  if (!state.foreign.empty()) return Error{state.foreign};
  if (state.postmaster_pid) return wait_until_ready(directory, *state.postmaster_pid, limit);
  if (!state.nothing_runs()) {
    return Error{"processes of an earlier server are left in " + directory.path() + ": " +
                 join(state.other_pids.empty() ? state.unidentified_pids : state.other_pids)};
  }
  if (!remove_stale_lock_files(directory, address_.port)) {
    state = look();
    if (state.postmaster_pid) return wait_until_ready(directory, *state.postmaster_pid, limit);
    return somebody_starts_it(directory);
  }
  const auto log = directory.file("pgkeel-start.log");
  rotate_start_log(log);
  std::error_code ignored;
  const auto log_bytes = files::exists(log, ignored) ? files::file_size(log, ignored) : 0;

  const auto seconds = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(limit).count());
  ProgramCall call{.arguments = {directory.program("pg_ctl"), "start", "--pgdata", directory.path(), "--log", log,
                                 "--wait", "--timeout", std::to_string(seconds), "--silent"},
                   .limit = limit + 10s,
                   // It may have a score that spares us, and it, from being killed for memory: its backends have none.
                   .environment = {"PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj"},
                   .os_user = directory.os_user(),
                   .break_off = break_off_,
                   // A postmaster that nobody can see yet would come up behind the back of whoever breaks this off.
                   .may_be_broken_off = [this] { return look().postmaster_pid.has_value(); }};
  if (const auto config_file = directory.config_file()) {
    std::string quoted;  // pg_ctl hands its options to a shell
    for (const char c : *config_file) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    call.arguments.insert(call.arguments.end(), {"--options", "-c config_file='" + quoted + "'"});
  }
  const auto started = run_checked(call);
  if (started) return {};
  if (break_off_.stop_requested()) return started.error();
  if (look().postmaster_pid) return still_starting(directory, limit);
  return Error{started.error().message + last_complaint(log, log_bytes)};
}

Result<void> LocalServer::start_as_standby(const UpstreamServer& upstream, Duration limit) const {
  if (auto claimed = claim(); !claimed) return claimed;
  const DataDirectory directory(settings_, break_off_);
  if (!look().proven_stopped()) return Error{"the server in " + directory.path() + " is not stopped"};
  if (RejoinMarker(directory).exists()) return start(limit);  // says why not
  const auto access = UpstreamAccess::open(directory, upstream);
  if (!access) return access.error();
  if (auto written = write_standby_files(directory, directory.path(), *access, node_, std::nullopt); !written) {
    return written;
  }
  return start_in(directory, limit);
}

Result<void> LocalServer::fence(Duration limit) const {
  if (const auto claimed = claim_->take(); !claimed) {
    if (claimed.error().is_taken) return Error{claimed.error().message};
    log(LogLevel::kWarning, node_, "it is fenced all the same: " + claimed.error().message);
  }
  const DataDirectory directory(settings_, break_off_);
  const Instant deadline = monotonic_now() + limit;
  const auto state = look();
  if (!state.foreign.empty()) return Error{state.foreign};
  if (!state.data_directory_exists && state.nothing_runs()) {
    return Error{"the data directory " + directory.path() + " is missing, which proves nothing of its server"};
  }
  if (state.postmaster_pid && process_state(*state.postmaster_pid) != 'T') {
    signal_server_process(directory.path(), *state.postmaster_pid, SIGQUIT);
    wait_for_process_end(*state.postmaster_pid, std::min(kQuitGrace, limit));
  }
  int clean_looks = 0;  // twice: one process may have made another behind our eyes while the first look passed by
  while (true) {
    const auto found = find_server_processes(directory.path());
    clean_looks = found.pids.empty() ? clean_looks + 1 : 0;
    if (clean_looks == 2) {
      if (found.unidentified.empty()) return {};
      return Error{"whether the PostgreSQL processes " + join({found.unidentified.begin(), found.unidentified.end()}) +
                   " belong to " + directory.path() + " cannot be told; run pgkeel as root or as their user"};
    }
    // The postmaster first: it would take a killed child for a crash, and start anew.
    if (state.postmaster_pid) signal_server_process(directory.path(), *state.postmaster_pid, SIGKILL);
    for (const auto pid : found.pids) signal_server_process(directory.path(), pid, SIGKILL);
    if (found.pids.empty()) continue;
    if (monotonic_now() >= deadline) {
      return Error{"processes of the server in " + directory.path() +
                   " do not end: " + join({found.pids.begin(), found.pids.end()})};
    }
    wait_for_process_end(found.pids.front(), kLookAgain);
  }
}

Result<RejoinReport, RejoinError> LocalServer::rejoin(const UpstreamServer& upstream,
                                                      const std::function<void(const std::string&)>& progress,
                                                      RejoinOptions options) const {
  if (auto claimed = claim(); !claimed) return RejoinError{claimed.error()};
  const DataDirectory directory(settings_, break_off_);
  const auto state = look();
  if (!state.foreign.empty()) return RejoinError{{state.foreign}};
  if (!state.nothing_runs()) return RejoinError{{"the server in " + directory.path() + " is not stopped"}};
  // They would stop pg_rewind's crash recovery too.
  if (!remove_stale_lock_files(directory, address_.port)) return RejoinError{somebody_starts_it(directory)};
  Rejoin attempt({node_, address_.port, quarantine_directory_}, directory, upstream, progress, options);
  const auto report = attempt.run();
  if (!report) return RejoinError{report.error(), attempt.copied()};
  progress("starting it as a standby of " + upstream.node);
  const auto started = start_in(directory, kReadyLimit);
  if (!started && !look().postmaster_pid) return RejoinError{started.error(), attempt.copied()};
  if (!started) progress(started.error().message);
  // Where a provision filled it: from here on it is a server like any other.
  if (auto removed = remove_durably(directory.beside(kProvisionNote)); !removed)
    return RejoinError{removed.error(), attempt.copied()};
  return *report;
}

}  // namespace pgkeel
