// What the host of a node does beside the single steps of LocalServer.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <unistd.h>
#include <utility>

#include "proxy/base/version.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/host_look.h"
#include "replication/agent/local_server.h"
#include "replication/agent/provision_objection.h"
#include "replication/agent/server_processes.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kFenceLimit = 5s;
constexpr Duration kLookAtProcessesEvery = 20ms;

}  // namespace

std::string LocalServer::doubt() const {
  const auto claimed = claim_->take();
  return claimed || !claimed.error().is_taken ? std::string() : claimed.error().message;
}

std::shared_ptr<const NodeHost> LocalServer::breakable(std::stop_token break_off) const {
  return std::make_shared<LocalServer>(until(std::move(break_off)));
}

std::shared_ptr<const NodeHost> LocalServer::in_term(std::uint64_t) const {
  return std::make_shared<LocalServer>(*this);
}

Result<NodeHostFacts> LocalServer::facts() const {
  const DataDirectory directory(settings_);
  const auto state = look();
  NodeHostFacts facts;
  facts.postmaster_pid = state.postmaster_pid;
  facts.nothing_runs = state.nothing_runs();
  facts.data_directory_exists = state.data_directory_exists;
  facts.has_standby_signal = state.has_standby_signal;
  facts.rejoin_cut_off = state.rejoin_cut_off;
  if (state.data_directory_exists) {
    if (auto control = directory.control_data()) facts.control = std::move(*control);
  }
  facts.host = look_at_host(settings_);
  facts.pgkeel_version = pgkeel_version();
  facts.clock = wall_now();
  return facts;
}

Result<Examination> LocalServer::examine() const {
  Examination found;
  found.proven_stopped = look().proven_stopped();
  if (!found.proven_stopped) return found;
  const DataDirectory directory(settings_, break_off_);
  const auto control = directory.control_data();
  if (!control) return control.error();
  const auto end = directory.end_of_wal(*control);
  if (!end) return end.error();
  found.shut_down_cleanly = control->shut_down_cleanly();
  found.timeline = end->timeline;
  found.end_of_wal = end->lsn;
  return found;
}

Result<std::string> LocalServer::start_after_crash(Duration limit) const {
  const auto control = control_data();
  if (!control) return control.error();
  if (control->shut_down_cleanly() && look().proven_stopped())
    return Error{"it was shut down cleanly, so it is left alone; start it to have it back"};
  const auto is_standby_again = undo_cut_off_promotion(*control);
  if (!is_standby_again) return is_standby_again.error();
  const auto started = start(limit);
  if (started)
    return std::string(*is_standby_again ? "started after a crash, as a standby: its promotion had been cut off"
                                         : "started after a crash");
  if (!break_off_.stop_requested() && look().postmaster_pid) return started.error().message;  // it goes on starting
  return started.error();
}

// A promotion removes standby.signal before anything durable speaks of a new timeline. Cut off in between, the server
// would go on as a primary of the old one, whose positions another node's WAL has too: nothing could tell the two
// apart.
Result<bool> LocalServer::undo_cut_off_promotion(const ControlData& control) const {
  const DataDirectory directory(settings_, break_off_);
  std::error_code ignored;
  if (control.cluster_state != "in archive recovery") return false;
  for (const char* name : {"standby.signal", "recovery.signal", "backup_label"}) {
    if (files::exists(directory.file(name), ignored)) return false;
  }
  if (auto claimed = claim(); !claimed) return claimed.error();
  if (!look().proven_stopped()) return false;
  const auto owner = directory.owner();
  if (!owner) return owner.error();
  if (auto written = write_durably(directory.file("standby.signal"), "", 0600, *owner); !written)
    return written.error();
  return true;
}

Result<void> LocalServer::stop(StopMode mode, Duration limit) const {
  if (auto claimed = claim(); !claimed) return claimed;
  const Instant deadline = monotonic_now() + limit;
  auto state = look();
  if (!state.foreign.empty()) return Error{state.foreign};
  if (state.postmaster_pid)
    signal_server_process(settings_.data_directory, *state.postmaster_pid, mode == StopMode::kFast ? SIGINT : SIGQUIT);
  while (!state.nothing_runs()) {
    if (monotonic_now() >= deadline) {
      return Error{"the server in " + settings_.data_directory + " has not stopped within " + format_duration(limit)};
    }
    // A shutdown takes as long as it takes: each look in the meantime takes from it.
    if (state.postmaster_pid) {
      wait_for_process_end(*state.postmaster_pid, deadline - monotonic_now());
    } else {
      wait_for_process_end(state.other_pids.empty() ? state.unidentified_pids.front() : state.other_pids.front(),
                           kLookAtProcessesEvery);
    }
    state = look();
    if (!state.foreign.empty()) return Error{state.foreign};
  }
  if (state.proven_stopped()) return {};
  return Error{"the data directory " + settings_.data_directory + " is missing, which proves nothing of its server"};
}

Result<void> LocalServer::restart(StopMode mode, Duration limit) const {
  const Instant deadline = monotonic_now() + limit;
  if (auto stopped = stop(mode, limit); !stopped) return stopped;
  return start(std::max<Duration>(deadline - monotonic_now(), 1s));
}

Result<RejoinReport, RejoinError> LocalServer::make_standby(const RejoinOrder& order, const Progress& progress) const {
  const auto state = look();
  // What a rejoin left half changed cannot be started: only another one mends it.
  if (order.leave_what_rests && state.proven_stopped() && !state.rejoin_cut_off) {
    const auto control = control_data();
    if (control && control->cluster_state == "shut down in recovery")
      return RejoinError{{"it was shut down cleanly, so it is left alone; start it to have it back"}};
  }
  if (order.leave_what_starts && state.postmaster_pid)
    return RejoinError{{"somebody is starting it: it is left alone until it is looked at anew"}};
  const bool to_be_filled = !state.data_directory_exists && state.nothing_runs();
  if (!to_be_filled) {
    if (const auto fenced = fence(kFenceLimit); !fenced) return RejoinError{fenced.error()};
  }
  return rejoin(order.upstream, progress, order.options);
}

// The note beside the data directory says that whatever is in there came from here: it was empty when the note was
// written. Without it the end of a provision that was cut off could not be told from somebody else's server.
Result<RejoinReport, RejoinError> LocalServer::provision(const UpstreamServer& upstream,
                                                         const Progress& progress) const {
  if (auto claimed = claim(); !claimed) return RejoinError{claimed.error()};
  const DataDirectory directory(settings_, break_off_);
  const std::string note = directory.beside(kProvisionNote);
  const auto state = look();
  if (!state.foreign.empty()) return RejoinError{{state.foreign}};
  std::error_code ignored;
  const bool was_begun = std::filesystem::exists(note, ignored);
  if (was_begun && state.postmaster_pid && state.has_standby_signal) {
    if (auto removed = remove_durably(note); !removed) return RejoinError{removed.error()};
    return RejoinReport{"basebackup", {}, {}};
  }
  const bool was_started_once = std::filesystem::exists(directory.file("postmaster.opts"), ignored);
  const bool is_ours = directory.is_empty_or_absent() || (was_begun && !was_started_once);
  if (!is_ours || !state.nothing_runs())
    return RejoinError{{why_not_empty(settings_.data_directory, state.data_directory_exists || !state.nothing_runs())}};
  if (auto noted = write_durably(note, "pgkeel fills the data directory beside this file\n"); !noted)
    return RejoinError{noted.error()};
  auto report = rejoin(upstream, progress);
  if (!report && directory.is_empty_or_absent() && !look().rejoin_cut_off) {
    if (auto removed = remove_durably(note); !removed) return RejoinError{removed.error(), report.error().copied};
  }
  return report;
}

}  // namespace pgkeel
