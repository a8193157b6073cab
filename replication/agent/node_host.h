// The host of one node's PostgreSQL server, whichever way it is reached: in this process (LocalServer), or through the
// agent beside the server (AgentClient). Every call but doubt() blocks, some for hours: job threads. Any thread may
// call; one at a time changes a server, and a second one gets an error. Nothing here decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/control_data.h"
#include "replication/agent/upstream_access.h"
#include "replication/model/action.h"
#include "replication/model/host_facts.h"

namespace pgkeel {

enum class StopMode { kFast, kImmediate };

struct RejoinOptions {
  bool rebuild = false;           // by pg_basebackup, whatever less would do
  bool discard_old_data = false;  // a data directory that was replaced, and held nothing of its own, is removed
  // How long the upstream may send nothing in the middle of a copy before that is given up.
  Duration silence_limit = std::chrono::seconds(60);
};

struct RejoinOrder {
  UpstreamServer upstream;
  // A standby that was shut down cleanly is left alone: somebody wants it to rest.
  bool leave_what_rests = false;
  // A server that runs now is left alone: somebody is starting it.
  bool leave_what_starts = false;
  RejoinOptions options = {};
};

struct RejoinReport {
  std::string method;       // "start", "rewind", "basebackup"
  std::string quarantine;   // folder with what the node alone had, or the report on it; empty: it had nothing
  std::string moved_aside;  // folder that a rebuild replaced; empty: none
};

struct RejoinError : Error {
  // It began to copy (by pg_basebackup or pg_rewind), or may have, where nobody can tell.
  bool copied = false;
};

struct NodeHostFacts {
  std::optional<std::int32_t> postmaster_pid;  // alive
  bool nothing_runs = false;                   // no process of the server is left
  bool data_directory_exists = false;
  bool has_standby_signal = false;
  bool rejoin_cut_off = false;
  std::optional<ControlData> control;
  HostFacts host;
  std::string pgkeel_version;
  WallTime clock;                            // the host's
  std::optional<WallTime> certificate_ends;  // of the agent that tells this
};

class NodeHost {
 public:
  using Progress = std::function<void(const std::string& line)>;  // told each step of long work

  virtual ~NodeHost() = default;

  // Why it can't be used now; empty: nothing speaks against it. Never blocks for long: any thread, also on a loop.
  [[nodiscard]] virtual std::string doubt() const = 0;

  // The same host, for a start or a rejoin that may have to be broken off: from when that is requested it ends soon,
  // with an error, and what it began is as if pgkeel had been killed there.
  [[nodiscard]] virtual std::shared_ptr<const NodeHost> breakable(std::stop_token break_off) const = 0;

  // The same host, ordered by the one that leads several pgkeels in this term (0: it is alone): from its first order on
  // an agent refuses those of older terms, also where they were under way for long.
  [[nodiscard]] virtual std::shared_ptr<const NodeHost> in_term(std::uint64_t term) const = 0;

  virtual Result<NodeHostFacts> facts() const = 0;
  virtual Result<Examination> examine() const = 0;

  // Ends the postmaster and every other process of the server at once, and returns when none is left.
  virtual Result<void> fence(Duration limit) const = 0;

  // Returns when the server accepts connections, or after `limit`; it then goes on starting.
  virtual Result<void> start(Duration limit) const = 0;
  // The same, but a server that was shut down cleanly is left alone, and one whose promotion was cut off before it had
  // a timeline of its own starts as the standby that it was. The message says what was done.
  virtual Result<std::string> start_after_crash(Duration limit) const = 0;
  // Returns when no process of the server is left.
  virtual Result<void> stop(StopMode mode, Duration limit) const = 0;
  virtual Result<void> restart(StopMode mode, Duration limit) const = 0;

  // Makes the server a streaming standby, whatever state it is in: fenced first where it runs, then LocalServer's
  // rejoin.
  virtual Result<RejoinReport, RejoinError> make_standby(const RejoinOrder& order, const Progress& progress) const = 0;
  // The same for an empty or missing data directory alone.
  virtual Result<RejoinReport, RejoinError> provision(const UpstreamServer& upstream,
                                                      const Progress& progress) const = 0;
};

}  // namespace pgkeel
