#include "replication/agent/job_work.h"

#include <utility>

namespace pgkeel {
namespace {

JobOutcome outcome_of(const Result<void>& result, std::string message) {
  return {result.has_value(), result ? std::move(message) : result.error().message, {}, {}};
}

JobOutcome outcome_of(const Result<std::string>& result) {
  return {result.has_value(), result ? *result : result.error().message, {}, {}};
}

JobOutcome outcome_of(const Result<Examination>& result) {
  if (!result) return {false, result.error().message, {}, {}};
  return {true, result->proven_stopped ? "stopped" : "it runs", *result, {}};
}

JobOutcome outcome_of(const Result<RejoinReport, RejoinError>& result) {
  if (!result) return {false, result.error().message, {}, {}, result.error().copied};
  return {true, "a standby by " + result->method, {}, *result};
}

}  // namespace

JobOutcome carry_out(const JobRequest& request, const NodeHost& host, const NodeHost::Progress& progress) {
  switch (request.kind) {
    case JobKind::kFence:
      return outcome_of(host.fence(request.limit), "proven stopped: no process of it is left");
    case JobKind::kStart:
      return outcome_of(host.start(request.limit), "it accepts connections");
    case JobKind::kStartAfterCrash:
      return outcome_of(host.start_after_crash(request.limit));
    case JobKind::kStop:
      return outcome_of(host.stop(request.mode, request.limit), "stopped: no process of it is left");
    case JobKind::kRestart:
      return outcome_of(host.restart(request.mode, request.limit), "restarted");
    case JobKind::kExamine:
      return outcome_of(host.examine());
    case JobKind::kRejoin:
      return outcome_of(host.make_standby(
          {*request.upstream, request.leave_what_rests, request.leave_what_starts, request.options}, progress));
    case JobKind::kProvision:
      return outcome_of(host.provision(*request.upstream, progress));
  }
  return {false, "a kind of job that this agent does not know", {}, {}};
}

}  // namespace pgkeel
