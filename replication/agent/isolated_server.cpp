#include "replication/agent/isolated_server.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "proxy/io/blocking_sql.h"
#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "proxy/io/conninfo.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/postmaster_file.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/server_processes.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kRunLimit = 168h;
constexpr Duration kStopLimit = 10min;
constexpr Duration kLook = 50ms;
constexpr Duration kTellAgain = 10s;
constexpr int kPreparedMin = 10;

std::size_t entries_in(const std::string& folder) {
  std::error_code problem;
  const files::directory_iterator found(folder, problem);
  return problem ? 0 : static_cast<std::size_t>(std::distance(begin(found), end(found)));
}

// It must come up by itself, not wait for somebody to send it more.
Result<void> put_signal_files_away(const DataDirectory& directory) {
  for (const char* name : {"standby.signal", "recovery.signal"}) {
    std::error_code ignored;
    if (!files::exists(directory.file(name), ignored)) continue;
    if (auto moved = rename_durably(directory.file(name), directory.file(name) + ".kept"); !moved) return moved;
  }
  return {};
}

std::string last_complaint(const std::string& log) {
  std::string found;
  for (const char* word : {"FATAL:", "PANIC:"}) {
    const auto at = log.rfind(word);
    if (at != std::string::npos) found += (found.empty() ? "" : "; ") + log.substr(at, log.find('\n', at) - at);
  }
  return found.empty() ? log.substr(log.size() > 300 ? log.size() - 300 : 0) : found;
}

}  // namespace

struct IsolatedServer::Process {
  explicit Process(ProgramCall call)
      : thread([this, call = std::move(call)] {
          auto ran = run_program(call);
          const std::lock_guard lock(mutex);
          error_output = ran ? ran->error_output : ran.error().message;
          ended = true;
          changed.notify_all();
        }) {}
  ~Process() { thread.join(); }

  // Whether it has ended, within `limit`.
  bool wait(Duration limit) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, [this] { return ended; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  std::string error_output;
  std::thread thread;  // the last: it uses the others
};

IsolatedServer::IsolatedServer(const LocalServerConfig& server, std::string superuser)
    : server_(server), superuser_(std::move(superuser)) {}

IsolatedServer::~IsolatedServer() {
  if (process_ && !stop()) {
    // A postmaster that does not stop when asked: its end takes its children along.
    const auto postmaster = read_postmaster_file(server_.data_directory);
    if (postmaster) signal_server_process(server_.data_directory, postmaster->pid, SIGKILL);
  }
}

Result<void> IsolatedServer::make_private_folder() {
  const DataDirectory directory(server_);
  const auto owner = directory.owner();
  if (!owner) return owner.error();
  auto made = PrivateFolder::make(*owner);
  if (!made) return made.error();
  folder_ = std::move(*made);
  for (const auto& [name, text] : {std::pair("pg_hba.conf", "local all all trust\n"), std::pair("pg_ident.conf", ""),
                                   std::pair("postgresql.conf", "")}) {
    if (auto written = write_durably(folder_->path() + "/" + name, text, 0600, *owner); !written) return written;
  }
  return {};
}

std::vector<std::string> IsolatedServer::arguments(bool checksums_may_fail, bool own_libraries) const {
  const DataDirectory directory(server_);
  const auto control = directory.control_data();
  const auto prepared = std::max(kPreparedMin, control ? static_cast<int>(control->max_prepared_transactions) : 0);
  const auto slots = entries_in(directory.file("pg_replslot")) + 10;
  std::vector<std::string> settings = {
      "config_file=" + folder_->path() + "/postgresql.conf",
      "hba_file=" + folder_->path() + "/pg_hba.conf",
      "ident_file=" + folder_->path() + "/pg_ident.conf",
      "unix_socket_directories=" + folder_->path(),
      "unix_socket_permissions=0700",
      "listen_addresses=",
      "port=" + std::to_string(port_),
      "max_wal_senders=0",
      "primary_conninfo=",
      "primary_slot_name=",
      "restore_command=",
      "archive_mode=off",
      "archive_command=",
      "archive_cleanup_command=",
      "recovery_end_command=",
      "synchronous_standby_names=",
      "max_logical_replication_workers=0",
      "max_parallel_workers=0",
      "autovacuum=off",
      "autovacuum_freeze_max_age=2000000000",
      // What is found in it may be asked for again: its slots are kept, and so is its log.
      "wal_level=logical",
      "wal_log_hints=on",  // pg_rewind looks at what the server was started with last
      "max_replication_slots=" + std::to_string(slots),
      "wal_keep_size=1000000000",
      "max_slot_wal_keep_size=-1",
      "checkpoint_timeout=1d",
      "max_wal_size=100GB",
      "max_prepared_transactions=" + std::to_string(prepared),
      "max_connections=20",
      "shared_buffers=64MB",
      "huge_pages=off",
      "jit=off",
      "ssl=off",
      "logging_collector=off",
      "log_destination=stderr",
      "log_min_messages=warning",
      "restart_after_crash=off",
      "session_preload_libraries=",
      "local_preload_libraries=",
  };
  if (!own_libraries) settings.emplace_back("shared_preload_libraries=");
  if (checksums_may_fail) settings.emplace_back("ignore_checksum_failure=on");
  if (major_version_ >= 17) settings.insert(settings.end(), {"sync_replication_slots=off", "summarize_wal=off"});
  std::vector<std::string> words = {directory.program("postgres"), "-D", directory.path()};
  for (auto& setting : settings) words.insert(words.end(), {"-c", std::move(setting)});
  return words;
}

Result<void> IsolatedServer::launch(bool checksums_may_fail, bool own_libraries,
                                    const std::function<void(const std::string&)>& progress) {
  const DataDirectory directory(server_);
  process_.reset();
  process_ = std::make_unique<Process>(ProgramCall{.arguments = arguments(checksums_may_fail, own_libraries),
                                                   .limit = kRunLimit,
                                                   .environment = {"LC_ALL=C"},
                                                   .os_user = directory.os_user()});
  Instant tell_at = monotonic_now() + kTellAgain;
  while (!process_->wait(kLook)) {
    const auto file = read_postmaster_file(directory.path());
    if (file && file->status == "ready" && file->socket_folder == folder_->path()) return {};
    if (monotonic_now() < tell_at) continue;
    progress("its server recovers");
    tell_at = monotonic_now() + kTellAgain;
  }
  const auto log = process_->error_output;
  // A library that writes records of its own into the log is needed to read them again.
  if (!own_libraries && log.find("shared_preload_libraries") != std::string::npos) {
    return launch(checksums_may_fail, true, progress);
  }
  return Error{"the server in " + directory.path() + " does not start: " + last_complaint(log)};
}

Result<std::unique_ptr<IsolatedServer>> IsolatedServer::start(const LocalServerConfig& server, bool checksums_may_fail,
                                                              const std::function<void(const std::string&)>& progress,
                                                              std::uint16_t port) {
  const DataDirectory directory(server);
  const auto running = find_server_processes(directory.path());
  if (!running.pids.empty()) {
    return Error{"a server runs in " + directory.path() + " already"};
  }
  const auto control = directory.control_data();
  if (!control) return control.error();
  const auto superuser = CatalogFiles(directory.path(), control->block_bytes).bootstrap_superuser();
  std::unique_ptr<IsolatedServer> isolated(
      new IsolatedServer(directory.settings(), superuser.value_or(directory.os_user())));
  isolated->port_ = port;
  const auto version = directory.major_version();
  if (!version) return version.error();
  isolated->major_version_ = *version;

  std::error_code ignored;
  // Nobody runs there, whoever has that number now. In doubt PostgreSQL looks itself.
  if (running.unidentified.empty()) files::remove(directory.file("postmaster.pid"), ignored);
  if (auto moved = put_signal_files_away(directory); !moved) return moved.error();
  if (auto made = isolated->make_private_folder(); !made) return made.error();
  if (auto launched = isolated->launch(checksums_may_fail, false, progress); !launched) return launched.error();
  return isolated;
}

Result<void> IsolatedServer::stop() {
  if (!process_) return {};
  if (process_->wait(Duration::zero())) {
    process_.reset();
    return {};
  }
  const DataDirectory directory(server_);
  const auto seconds = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(kStopLimit).count());
  const auto stopped = directory.run(
      "pg_ctl", {"stop", "--pgdata", directory.path(), "--mode", "fast", "--wait", "--timeout", seconds, "--silent"},
      kStopLimit + 10s);
  if (!stopped) return stopped.error();
  process_.reset();
  return {};
}

std::string IsolatedServer::conninfo(const std::string& database) const {
  std::string options =
      "-c session_preload_libraries= -c local_preload_libraries= -c search_path=pg_catalog -c row_security=off "
      "-c default_transaction_read_only=on -c statement_timeout=0 -c lock_timeout=10s -c datestyle=ISO "
      "-c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex -c enable_seqscan=off "
      "-c enable_bitmapscan=off -c role=none";
  if (major_version_ >= 17) options += " -c event_triggers=off";
  return format_conninfo({{"host", folder_->path()},
                          {"port", std::to_string(port_)},
                          {"user", superuser_},
                          {"dbname", database},
                          {"client_encoding", "UTF8"},
                          {"sslmode", "disable"},
                          {"gssencmode", "disable"},
                          {"options", options}});
}

}  // namespace pgkeel
