#include "replication/execute/agent_link.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/https_client.h"
#include "proxy/io/loop.h"
#include "proxy/io/wakeup.h"
#include "replication/execute/agent_client.h"
#include "replication/execute/clock_distance.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kWait = 500ms;           // so long an agent keeps a call open where nothing happens
constexpr Duration kAgentAnswerLimit = 1s;  // more than that: silence
constexpr Duration kCallAgain = 200ms;      // an agent that did not answer

}  // namespace

struct AgentLink::Inner {
  Inner(Loop& loop, const NodeConfig& config, Callbacks told)
      : node(config),
        callbacks(std::move(told)),
        silence(std::make_shared<AgentSilence>("its agent at " + config.agent->url + " has not answered yet")),
        connections(std::make_shared<AgentConnections>(*config.agent)),
        acting(std::make_shared<BootDeadline>()),
        wakeup(loop) {}

  ~Inner() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      if (waiting != nullptr) waiting->cancel();
    }
    ended.notify_all();
    if (caller.joinable()) caller.join();
  }

  void call_on() {
    while (true) {
      if (auto news = connections->look_at_certificates(); !news.text.empty())
        wakeup.post([this, news = std::move(news)] { callbacks.certificates(news); });
      const auto answer = call();
      const Instant received_at = monotonic_now();
      auto report = !answer                 ? Result<AgentReport>(answer.error())
                    : answer->status == 200 ? parse_agent_report(answer->body)
                                            : Result<AgentReport>(Error{"it refuses: " + parse_error(answer->body)});
      if (!report) {
        known.reset();
        wakeup.post([this, why = report.error().message] { lost(why); });
        std::unique_lock lock(mutex);
        if (ended.wait_for(lock, kCallAgain, [this] { return stopping; })) return;
        continue;
      }
      if (!known || known->instance != report->instance) clocks = {};  // each new agent is measured anew
      const Duration clocks_apart = clocks.heard(report->clock, received_at);
      std::optional<Instant> ended_at;
      if (report->postmaster_ended) ended_at = std::min(Instant(*report->postmaster_ended + clocks_apart), received_at);
      known = *report;
      wakeup.post([this, report = std::move(*report), received_at, ended_at] { heard(report, received_at, ended_at); });
      const std::lock_guard lock(mutex);
      if (stopping) return;
    }
  }

  Result<HttpsAnswer> call() {
    auto connection = connections->for_watch();
    if (!connection) return connection.error();
    {
      const std::lock_guard lock(mutex);
      if (stopping) return Error{"not waited for any longer"};
      waiting = connection->get();
    }
    auto answer = (*connection)->get(next_path(), kWait + kAgentAnswerLimit);
    const std::lock_guard lock(mutex);
    waiting = nullptr;
    return answer;
  }

  std::string next_path() {
    std::string path = std::string(kAgentPathPrefix) + "/watch?wait_ms=" + std::to_string(to_milliseconds(kWait));
    if (acting->is_over()) path += "&looks_only=1";
    if (known) path += "&instance=" + known->instance + "&after=" + std::to_string(known->sequence);
    const std::lock_guard lock(mutex);
    if (notices_heard > 0) path += "&heard=" + std::to_string(notices_heard);
    return path;
  }

  void lost(const std::string& why) {
    const bool was_silent = !silence->why().empty();
    const std::string text = "its agent does not answer: " + why;
    silence->set(text);
    if (!was_silent || !std::exchange(told_of_silence, true)) callbacks.changed(text);
  }

  void heard(const AgentReport& report, Instant received_at, std::optional<Instant> ended_at) {
    const bool was_silent = !silence->why().empty();
    silence->set({});
    told_of_silence = true;
    agent_certificate_ends = report.certificate_ends;
    AgentWord word;
    word.at = received_at;
    word.ended_at = ended_at;
    if (report.postmaster) {
      word.postmaster = AgentWord::Postmaster{report.postmaster->pid, report.postmaster->started_at,
                                              report.postmaster->port, report.postmaster->uptime};
    }
    if (std::exchange(told_by, report.instance) != report.instance) notices_told = 0;
    for (const auto& notice : report.notices) {
      if (notice.number <= notices_told) continue;
      callbacks.notice(notice.text);
      notices_told = notice.number;
    }
    {
      const std::lock_guard lock(mutex);
      notices_heard = report.notices.empty() ? 0 : notices_told;
    }
    callbacks.said(word);
    if (was_silent) callbacks.changed({});
  }

  const NodeConfig node;
  const Callbacks callbacks;
  const std::shared_ptr<AgentSilence> silence;
  const std::shared_ptr<AgentConnections> connections;
  const std::shared_ptr<BootDeadline> acting;
  std::optional<WallTime> agent_certificate_ends;  // control thread
  bool told_of_silence = false;                    // control thread
  std::string told_by;                             // control thread: the agent's instance
  std::uint64_t notices_told = 0;                  // control thread: of its notices

  std::optional<AgentReport> known;  // caller's thread
  ClockDistance clocks;              // caller's thread

  std::mutex mutex;  // guards the three below
  std::condition_variable ended;
  bool stopping = false;
  std::uint64_t notices_heard = 0;
  HttpsClient* waiting = nullptr;  // the call that is open
  Wakeup wakeup;
  std::thread caller;
};

AgentLink::AgentLink(Loop& loop, const NodeConfig& node, Callbacks callbacks)
    : inner_(std::make_unique<Inner>(loop, node, std::move(callbacks))) {}

AgentLink::~AgentLink() = default;

BootDeadline& AgentLink::acting_until() {
  return *inner_->acting;
}

void AgentLink::start() {
  inner_->caller = std::thread([inner = inner_.get()] { inner->call_on(); });
}

std::shared_ptr<const NodeHost> AgentLink::host() const {
  return std::make_shared<AgentClient>(inner_->node.name, inner_->node.address, inner_->connections, inner_->silence,
                                       inner_->acting);
}

AgentLink::CertificateEnds AgentLink::certificates_end() const {
  return {inner_->agent_certificate_ends, inner_->connections->certificate_valid_until()};
}

}  // namespace pgkeel
