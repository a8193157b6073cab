// What pgkeel and its agents say to each other, as JSON over HTTPS (README.md lists the calls). Plain data, and the
// pure functions from it to text and back. Whatever comes from the other side is checked before it is believed. Any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/node_host.h"

namespace pgkeel {

// Part of each path: a change that the other side would misunderstand gets a new number. Any other is understood by
// both sides, whichever is older: unknown members are ignored, and those that came later need not be there. What a
// fence or a start is decided by was there from the beginning, and is never taken for granted.
constexpr std::string_view kAgentPathPrefix = "/agent/v1";

enum class JobKind { kFence, kStart, kStartAfterCrash, kStop, kRestart, kExamine, kRejoin, kProvision };
const char* job_kind_name(JobKind kind);

struct JobRequest {
  std::string id;  // the caller's, of letters, digits and '-': sent twice it is one job
  JobKind kind = JobKind::kExamine;
  std::uint64_t term = 0;  // in which the caller leads several pgkeels; 0: it is alone
  std::string node;
  HostPort address;                        // where the node's server listens
  Duration limit{};                        // of fence, start, stop, restart
  StopMode mode = StopMode::kFast;         // of stop, restart
  std::optional<UpstreamServer> upstream;  // of rejoin, provision; with the password
  bool leave_what_rests = false;           // of rejoin
  bool leave_what_starts = false;          // of rejoin
  RejoinOptions options;                   // of rejoin

  // The same work, whoever asks for it and whatever has changed of its circumstances since.
  [[nodiscard]] bool same_work(const JobRequest& other) const;
};

enum class JobState { kRunning, kDone, kFailed, kInterrupted };
const char* job_state_name(JobState state);

constexpr std::size_t kJobLinesMost = 1000;  // the newest ones are kept

struct JobRecord {
  std::string id;
  JobKind kind = JobKind::kExamine;
  std::string node;
  JobState state = JobState::kRunning;
  WallTime started_at;
  std::string message;                     // what was done, or why it failed
  std::optional<Examination> examination;  // of examine
  std::optional<RejoinReport> report;      // of rejoin, provision
  bool copied = false;                     // of those, where they failed: they began to copy, or may have
  std::uint64_t lines_before = 0;          // of its progress, that are not in `lines`
  std::vector<std::string> lines;
};

struct ReportedPostmaster {
  std::int32_t pid = 0;
  std::optional<std::uint16_t> port;
  std::int64_t started_at = 0;  // seconds since 1970, by the host's clock
  Duration uptime{};            // by the same clock

  [[nodiscard]] bool same_process(const ReportedPostmaster& other) const {
    return pid == other.pid && started_at == other.started_at;
  }
};

// What an agent tells of its own accord, until a pgkeel has written it down.
struct AgentNotice {
  std::uint64_t number = 0;
  std::string text;
};

struct AgentReport {
  std::string instance;                          // another one after each start of the agent
  std::uint64_t sequence = 0;                    // grows with each change of what follows
  Duration clock{};                              // since the host started, at the answer; counts while it is suspended
  std::optional<ReportedPostmaster> postmaster;  // that runs and is watched
  std::optional<Duration> postmaster_ended;      // when the last one that was watched ended, by `clock`
  std::string job;                               // that runs, for a person; empty: none
  std::optional<WallTime> certificate_ends;      // of the agent
  std::vector<AgentNotice> notices;
};

std::string to_json(const JobRequest& request);
std::string to_json(const JobRecord& record);
std::string to_json(const NodeHostFacts& facts);
std::string to_json(const AgentReport& report);
std::string error_json(std::string_view message);
std::string busy_json(const std::string& running_id,
                      std::string_view message);  // the same, of a job that stands in the way

Result<JobRequest> parse_job_request(std::string_view text);
Result<JobRecord> parse_job_record(std::string_view text);
Result<NodeHostFacts> parse_node_host_facts(std::string_view text);
Result<AgentReport> parse_agent_report(std::string_view text);
std::string parse_busy_id(std::string_view text);  // of busy_json(); empty: it is none
std::string parse_error(std::string_view text);    // the message of error_json(), or the text itself, cut

// A list of records as a file keeps them.
std::string to_json(const std::vector<JobRecord>& records);
Result<std::vector<JobRecord>> parse_job_records(std::string_view text);

}  // namespace pgkeel
