// A PostgreSQL server on this host, handled through its data directory and its programs: looked at, started, fenced,
// rewound and rebuilt. Every call blocks, some for hours: they belong on a job thread (replication/execute), never on a
// loop; any thread may call, but only one at a time changes a server. Programs run as os_user, without a shell. Nothing
// here decides; the callers are the decision core's actions, and the agent's jobs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/control_data.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/directory_claim.h"
#include "replication/agent/node_host.h"
#include "replication/agent/upstream_access.h"

namespace pgkeel {

struct LocalServerState {
  std::optional<std::int32_t> postmaster_pid;   // alive, and its working folder is the data directory
  std::vector<std::int32_t> other_pids;         // other processes of this server: backends, walsenders, orphans
  std::vector<std::int32_t> unidentified_pids;  // PostgreSQL processes of which we may not read whose they are
  std::string foreign;  // why what runs, or listens, there is not this node's server; empty: nothing speaks against it
  bool has_standby_signal = false;
  bool data_directory_exists = false;
  bool rejoin_cut_off = false;  // a rejoin's marker is there: only rejoin() may touch the data directory

  [[nodiscard]] bool nothing_runs() const {
    return !postmaster_pid && other_pids.empty() && unidentified_pids.empty() && foreign.empty();
  }
  // The design's "proven stopped": no postmaster and no child of it left. A folder that is not there proves nothing: it
  // may be the wrong one, or its disk is gone from beneath a server that lives.
  [[nodiscard]] bool proven_stopped() const { return nothing_runs() && data_directory_exists; }
};

class LocalServer final : public NodeHost {
 public:
  // `node` is the node's name: its application_name, and `pgkeel_<node>` its slot. `quarantine_directory` empty: beside
  // the data directory (same file system, so that a copy can share blocks).
  // `address`: where the node's server listens. What listens elsewhere, or on another port, is not it. Copies share one
  // claim on the data directory.
  LocalServer(std::string node, HostPort address, LocalServerConfig settings, std::string quarantine_directory = "");

  // The same server, for work that may have to be broken off: from when that is requested a start or a rejoin ends the
  // program that it runs, starts none any more, and returns an error. What it began is as if pgkeel had been killed: a
  // server that starts goes on, and fence() finds it; a rejoin left its marker.
  [[nodiscard]] LocalServer until(std::stop_token break_off) const;
  [[nodiscard]] std::shared_ptr<const NodeHost> breakable(std::stop_token break_off) const override;
  // Several pgkeels reach a server through its agent alone: here there is none to tell of a term.
  [[nodiscard]] std::shared_ptr<const NodeHost> in_term(std::uint64_t term) const override;

  // The same server under another name, or known by another address.
  [[nodiscard]] LocalServer as_node(std::string node, HostPort address) const;

  // Makes the data directory ours (DirectoryClaim). Everything below that changes a server begins with it.
  Result<void> claim() const;
  [[nodiscard]] std::string doubt() const override;  // another pgkeel has it

  [[nodiscard]] LocalServerState look() const;
  [[nodiscard]] Result<ControlData> control_data() const;

  // Waits a moment for what a crash left behind to end, starts the server with pg_ctl and returns when it accepts
  // connections (of a standby: is in hot standby), fails, or `limit` is over; it then goes on starting. Already
  // running: done.
  Result<void> start(Duration limit) const override;
  Result<std::string> start_after_crash(Duration limit) const override;

  // By signals to the postmaster; what does not end in time goes on ending.
  Result<void> stop(StopMode mode, Duration limit) const override;
  Result<void> restart(StopMode mode, Duration limit) const override;

  // Points the stopped server at `upstream`, and starts it as its standby. Right only for a server that was a standby:
  // rejoin() is for all others.
  Result<void> start_as_standby(const UpstreamServer& upstream, Duration limit) const;

  // Ends the postmaster and every other process of the server at once (SIGQUIT, then SIGKILL; a stopped process too),
  // and returns when none is left: proven stopped. Its WAL is as after a crash. An error, and nothing is touched, where
  // the data directory is missing, holds the server of another node, or the node's server lives elsewhere. Waits for
  // no disk: where the claim cannot be written down, that is logged.
  Result<void> fence(Duration limit) const override;

  // Makes the stopped server a streaming standby of `upstream`, and starts it. What it alone has is set aside first
  // (rule 4):
  //   its WAL ends at or before the fork        -> start as a standby
  //   else copy to quarantine, then pg_rewind   -> start as a standby
  //   rewind impossible, failed or cut off      -> move the data directory aside, pg_basebackup
  // An empty or missing data directory is filled by pg_basebackup. The slot must be there on the upstream, and a
  // checkpoint since its promotion. A rewind or backup that was cut off leaves a marker beside the data directory, and
  // such a directory is never started. The node's own configuration files stay. `progress` is told each step as one
  // line. On an error the node stays stopped, and the message says what to mend.
  Result<RejoinReport, RejoinError> rejoin(const UpstreamServer& upstream,
                                           const std::function<void(const std::string&)>& progress,
                                           RejoinOptions options = {}) const;

  Result<RejoinReport, RejoinError> make_standby(const RejoinOrder& order, const Progress& progress) const override;
  Result<RejoinReport, RejoinError> provision(const UpstreamServer& upstream, const Progress& progress) const override;

  Result<Examination> examine() const override;
  Result<NodeHostFacts> facts() const override;

 private:
  // Stands beside a data directory from when a provision begins to fill it until its server runs.
  static constexpr std::string_view kProvisionNote = ".pgkeel-provision";

  Result<bool> undo_cut_off_promotion(const ControlData& control) const;
  Result<void> start_in(const DataDirectory& directory, Duration limit) const;
  [[nodiscard]] std::string what_is_foreign(bool any_process) const;

  std::string node_;
  HostPort address_;
  LocalServerConfig settings_;
  std::string quarantine_directory_;
  std::shared_ptr<DirectoryClaim> claim_;
  std::stop_token break_off_;
};

}  // namespace pgkeel
