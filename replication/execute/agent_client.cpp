#include "replication/execute/agent_client.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/random_id.h"
#include "replication/agent/standby_settings.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kCallLimit = 3s;
constexpr Duration kPollWait = 1s;
constexpr Duration kBreakablePollWait = 100ms;  // of a job that may have to be broken off
constexpr Duration kAskAgainPause = 100ms;
constexpr Duration kOverhead = 3s;  // of a job with a limit: until the agent has begun it and its end is known here
constexpr Duration kFactsLimit = 30s;
constexpr Duration kExaminePatience = 60s;
constexpr Duration kLongWorkPatience = 60s;  // so long an agent that is restarted may be silent in the middle of it

std::string path(const std::string& rest) {
  return std::string(kAgentPathPrefix) + rest;
}

const NodeHost::Progress kNobody = [](const std::string&) {};

Result<void> done_or_error(const Result<JobRecord, RejoinError>& record) {
  return record ? Result<void>() : Result<void>(record.error());
}

constexpr int kProvisionsMost = 4;  // of one order, from an agent that is restarted again and again

// What has no side effect when done twice is ordered again from an agent that was restarted in the middle. A provision
// is long work: it goes by how often, not by how long.
bool may_be_repeated(JobKind kind) {
  return kind == JobKind::kFence || kind == JobKind::kExamine || kind == JobKind::kProvision;
}

// Long work that an operator or the state of the node asks for waits for what an earlier pgkeel ordered, and that is
// not the same (a rejoin, and now a rebuild). What is short is decided anew instead.
bool waits_its_turn(JobKind kind) {
  return kind == JobKind::kRejoin || kind == JobKind::kProvision;
}

// One job, from its order to its end.
class JobCall {
 public:
  JobCall(AgentConnections& agent, const BootDeadline& acting, Duration patience, const NodeHost::Progress& progress,
          std::stop_token break_off)
      : agent_(agent),
        acting_(acting),
        patience_(patience),
        progress_(progress),
        break_off_(std::move(break_off)),
        heard_at_(monotonic_now()) {}

  Result<JobRecord> order(const JobRequest& request) {
    const std::string json = to_json(request);
    bool may_have_arrived = false;
    while (true) {
      // Who wants it no more may not be the leader any more: an order that arrives from now on is one too many.
      if (break_off_.stop_requested()) {
        if (may_have_arrived) break_off(request.id);
        return Error{std::string(job_kind_name(request.kind)) + " was broken off before the agent took it up"};
      }
      // Its term is over, and the agent may not know that yet where it was restarted.
      if (acting_.is_over())
        return Error{std::string(job_kind_name(request.kind)) +
                     " is not ordered any more: another pgkeel may lead by now"};
      const auto answer = post(path("/jobs"), json, kCallLimit);
      may_have_arrived = may_have_arrived || !answer;
      if (answer && answer->status == 202) return parse_job_record(answer->body);
      const std::string in_the_way = answer ? parse_busy_id(answer->body) : "";
      if (!in_the_way.empty() && waits_its_turn(request.kind)) {
        progress_("waits: " + parse_error(answer->body));
        JobRecord other;
        other.id = in_the_way;
        other.kind = request.kind;
        if (const auto ended = wait_for_end(std::move(other), Whose::kOthers); !ended) return ended.error();
        continue;
      }
      // A start or a rejoin that an earlier pgkeel ordered does not keep a fence waiting.
      const bool is_broken_off = !in_the_way.empty() && request.kind == JobKind::kFence;
      if (is_broken_off) break_off(in_the_way);
      if (answer && !is_broken_off) return refusal(*answer);
      if (!ask_again()) return answer ? refusal(*answer) : answer.error();
    }
  }

  // What somebody else ordered is not broken off with this call, which only ends.
  enum class Whose { kOwn, kOthers };
  Result<JobRecord> wait_for_end(JobRecord record, Whose whose = Whose::kOwn) {
    std::uint64_t lines_told = 0;
    while (true) {
      for (std::size_t i = 0; i < record.lines.size(); ++i) {
        if (record.lines_before + i >= lines_told) progress_(record.lines[i]);
      }
      lines_told = std::max<std::uint64_t>(lines_told, record.lines_before + record.lines.size());
      if (record.state != JobState::kRunning) return record;
      if (break_off_.stop_requested()) {
        if (whose == Whose::kOthers) return record;
        break_off(record.id);
      }
      const Duration wait = break_off_.stop_possible() ? kBreakablePollWait : kPollWait;
      const auto answer = get(path("/jobs/" + record.id + "?after=" + std::to_string(lines_told) +
                                   "&wait_ms=" + std::to_string(to_milliseconds(wait))),
                              wait + kCallLimit);
      // It was restarted before the job's record was durable, which a fence does not wait for.
      if (answer && answer->status == 404 && may_be_repeated(record.kind)) {
        record.state = JobState::kInterrupted;
        record.message = "the agent was restarted, and knows nothing of it";
        record.copied = true;
        return record;
      }
      if (answer && answer->status != 200) return refusal(*answer);
      if (!answer) {
        if (break_off_.stop_requested() || !ask_again())
          return Error{"the agent was lost while it carried out " + std::string(job_kind_name(record.kind)) +
                       ", which may go on: " + answer.error().message};
        continue;
      }
      heard_at_ = monotonic_now();
      auto newer = parse_job_record(answer->body);
      if (!newer) return newer.error();
      record = std::move(*newer);
    }
  }

 private:
  // A job may outlive the certificate that it was ordered with, so each call takes a connection anew.
  Result<HttpsAnswer> get(const std::string& path, Duration limit) {
    auto connection = agent_.for_job();
    return connection ? (*connection)->get(path, limit) : Result<HttpsAnswer>(connection.error());
  }
  Result<HttpsAnswer> post(const std::string& path, const std::string& json, Duration limit) {
    auto connection = agent_.for_job();
    return connection ? (*connection)->post(path, json, limit) : Result<HttpsAnswer>(connection.error());
  }

  static Error refusal(const HttpsAnswer& answer) {
    return Error{"the agent refuses (" + std::to_string(answer.status) + "): " + parse_error(answer.body)};
  }

  void break_off(const std::string& id) {
    // Whether it arrived is seen by what becomes of the job.
    [[maybe_unused]] const auto answer = post(path("/jobs/" + id + "/break_off"), "{}", kCallLimit);
  }

  // False: it has been silent for too long.
  [[nodiscard]] bool ask_again() const {
    if (monotonic_now() - heard_at_ >= patience_) return false;
    std::this_thread::sleep_for(kAskAgainPause);
    return true;
  }

  AgentConnections& agent_;
  const BootDeadline& acting_;
  const Duration patience_;
  const NodeHost::Progress& progress_;
  const std::stop_token break_off_;
  Instant heard_at_;
};

}  // namespace

AgentClient::AgentClient(std::string node, HostPort address, std::shared_ptr<AgentConnections> agent,
                         std::shared_ptr<const AgentSilence> silence, std::shared_ptr<const BootDeadline> acting)
    : node_(std::move(node)),
      address_(std::move(address)),
      agent_(std::move(agent)),
      silence_(std::move(silence)),
      acting_(std::move(acting)) {}

JobRequest AgentClient::request(JobKind kind, Duration limit) const {
  JobRequest request;
  request.id = random_id();
  request.kind = kind;
  request.term = term_;
  request.node = node_;
  request.address = address_;
  request.limit = limit;
  return request;
}

Result<JobRecord, RejoinError> AgentClient::carry_out(JobRequest request, Duration patience,
                                                      const Progress& progress) const {
  JobCall call(*agent_, *acting_, patience, progress, break_off_);
  const Instant began = monotonic_now();
  for (int times = 1; true; ++times) {
    auto ordered = call.order(request);
    if (!ordered) return RejoinError{ordered.error()};
    const auto ended = call.wait_for_end(std::move(*ordered));
    if (!ended) return RejoinError{ended.error(), true};
    if (ended->state == JobState::kDone) return *ended;
    const bool again = ended->state == JobState::kInterrupted && may_be_repeated(request.kind);
    const bool enough =
        request.kind == JobKind::kProvision ? times == kProvisionsMost : monotonic_now() - began >= patience;
    if (!again || enough || break_off_.stop_requested()) return RejoinError{{ended->message}, ended->copied};
    progress(ended->message + "; it is begun again");
    request.id = random_id();
  }
}

std::shared_ptr<const NodeHost> AgentClient::breakable(std::stop_token break_off) const {
  auto host = std::make_shared<AgentClient>(*this);
  host->break_off_ = std::move(break_off);
  return host;
}

std::shared_ptr<const NodeHost> AgentClient::in_term(std::uint64_t term) const {
  auto host = std::make_shared<AgentClient>(*this);
  host->term_ = term;
  return host;
}

Result<NodeHostFacts> AgentClient::facts() const {
  auto connection = agent_->for_job();
  if (!connection) return connection.error();
  const auto answer =
      (*connection)
          ->get(path("/facts?node=" + node_ + "&host=" + address_.host + "&port=" + std::to_string(address_.port)),
                kFactsLimit);
  if (!answer) return answer.error();
  if (answer->status != 200) return Error{"the agent refuses: " + parse_error(answer->body)};
  return parse_node_host_facts(answer->body);
}

Result<Examination> AgentClient::examine() const {
  const auto record = carry_out(request(JobKind::kExamine, kExaminePatience), kExaminePatience, kNobody);
  if (!record) return record.error();
  if (!record->examination) return Error{"the agent did not say what it found"};
  return *record->examination;
}

Result<void> AgentClient::fence(Duration limit) const {
  return done_or_error(carry_out(request(JobKind::kFence, limit), limit + kOverhead, kNobody));
}

Result<void> AgentClient::start(Duration limit) const {
  return done_or_error(carry_out(request(JobKind::kStart, limit), limit + kOverhead, kNobody));
}

Result<std::string> AgentClient::start_after_crash(Duration limit) const {
  const auto record = carry_out(request(JobKind::kStartAfterCrash, limit), limit + kOverhead, kNobody);
  if (!record) return record.error();
  return record->message;
}

Result<void> AgentClient::stop(StopMode mode, Duration limit) const {
  auto order = request(JobKind::kStop, limit);
  order.mode = mode;
  return done_or_error(carry_out(std::move(order), limit + kOverhead, kNobody));
}

Result<void> AgentClient::restart(StopMode mode, Duration limit) const {
  auto order = request(JobKind::kRestart, limit);
  order.mode = mode;
  return done_or_error(carry_out(std::move(order), limit + kOverhead, kNobody));
}

Result<RejoinReport, RejoinError> AgentClient::make_standby(const RejoinOrder& order, const Progress& progress) const {
  auto job = request(JobKind::kRejoin, Duration::zero());
  job.leave_what_rests = order.leave_what_rests;
  job.leave_what_starts = order.leave_what_starts;
  job.options = order.options;
  return standby_by(std::move(job), order.upstream, progress);
}

Result<RejoinReport, RejoinError> AgentClient::provision(const UpstreamServer& upstream,
                                                         const Progress& progress) const {
  return standby_by(request(JobKind::kProvision, Duration::zero()), upstream, progress);
}

// The password goes along: the agent has no file with it, and keeps it only where the standby needs it.
Result<RejoinReport, RejoinError> AgentClient::standby_by(JobRequest request, const UpstreamServer& upstream,
                                                          const Progress& progress) const {
  request.upstream = upstream;
  if (const auto& file = upstream.replication.password_file; !upstream.password && !file.empty()) {
    const auto text = read_file(file, 65536);
    if (!text) return RejoinError{{"the password of " + upstream.replication.user + ": " + text.error().message}};
    request.upstream->password = first_line(*text);
  }
  const auto record = carry_out(std::move(request), kLongWorkPatience, progress);
  if (!record) return record.error();
  if (!record->report) return RejoinError{{"the agent did not say what it did"}, true};
  return *record->report;
}

}  // namespace pgkeel
