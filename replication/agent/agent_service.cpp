#include "replication/agent/agent_service.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "health/postmaster_watch.h"
#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/loop.h"
#include "proxy/io/postmaster_file.h"
#include "proxy/io/signal_watch.h"
#include "proxy/io/timer.h"
#include "proxy/io/tls_identity_files.h"
#include "proxy/io/tls_session.h"
#include "replication/agent/agent_server.h"
#include "replication/agent/job_desk.h"
#include "replication/agent/job_work.h"
#include "replication/agent/local_server.h"
#include "replication/agent/lost_desk.h"
#include "replication/agent/notice_board.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookInterval = 100ms;  // for a postmaster that was started, by whomever
constexpr Duration kLookAtCertificates = 1s;
constexpr Duration kWarnBeforeEnd = 30 * 24h;  // of the certificate
constexpr Duration kWarnAgain = 24h;
constexpr Duration kFenceAgainPause = 1s;
constexpr Duration kOwnFenceLimit = 10s;
constexpr const char* kOwnJobPrefix = "fence-timeout-";
constexpr const char* kOwnJobNode = "this_server";

LocalServerConfig server_of(const AgentConfig& config) {
  LocalServerConfig server = config.server;
  server.quarantine = config.quarantine;
  if (server.os_user.empty() && geteuid() == 0) server.os_user = "postgres";
  return server;
}

Result<void> make_state_directory(const std::string& path) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (!problem && (chmod(path.c_str(), 0700) != 0 || access(path.c_str(), W_OK) != 0))
    problem = std::error_code(errno, std::generic_category());
  if (problem) return Error{"[agent] state_directory " + path + ": " + problem.message()};
  return {};
}

}  // namespace

struct AgentService::Inner {
  Inner(const AgentConfig& agent, const QuarantineConfig& quarantine)
      : config(agent),
        bounds(quarantine),
        server(kOwnJobNode, {"", 0}, server_of(agent)),
        notices(agent.state_directory + "/notices.json"),
        postmaster(loop, agent.server.data_directory, 0, [this](const std::string& detail) { died(detail); }),
        look_again(loop, [this] { look(); }),
        identity(agent.tls.ca, agent.tls.cert, agent.tls.key, CertificateRole::kAgent),
        look_at_certificates(loop, [this] { renew(identity.look()); }) {}

  Result<void> start() {
    if (auto claimed = server.claim(); !claimed) return claimed;
    if (identity.look_now() != TlsIdentityFiles::Change::kReplaced) return Error{"[agent] tls: " + identity.trouble()};
    auto tls = acceptor();
    if (!tls) return tls.error();
    auto desk = JobDesk::open(
        config.state_directory + "/jobs.json",
        [this](const JobRequest& request, const NodeHost::Progress& progress, const std::stop_token& break_off) {
          return work(request, progress, break_off);
        },
        [this] {
          if (api) api->changed();
        });
    if (!desk) return desk.error();
    jobs = std::move(*desk);
    lost =
        std::make_unique<LostDesk>(server_of(config), bounds, [this](const std::string& text) { notices.add(text); });
    for (const auto& job : jobs->interrupted()) {
      notices.add("the agent was restarted while it carried out " + std::string(job_kind_name(job.kind)) + " of " +
                  job.node + ", and gave that up; what it left half done is found by the next rejoin");
    }
    api = std::make_unique<AgentServer>(
        *jobs, notices, *lost,
        [this](const std::string& node, const HostPort& address) { return server.as_node(node, address).facts(); });
    if (auto listening = api->listen(config.listen, std::move(*tls), identity.valid_until()); !listening)
      return listening;
    for (const int number : {SIGTERM, SIGINT}) {
      signals.push_back(std::make_unique<SignalWatch>(loop, number, [this] { loop.stop(); }));
    }
    signals.push_back(std::make_unique<SignalWatch>(loop, SIGHUP, [this] { reload(); }));
    look();
    look_again.start_repeating(kLookInterval);
    warn_of_end();
    look_at_certificates.start_repeating(kLookAtCertificates);
    return {};
  }

  [[nodiscard]] Result<std::shared_ptr<const TlsAcceptor>> acceptor() const {
    return TlsAcceptor::open(*identity.identity(), CertificateRole::kProxy);
  }

  // Its configuration is of one server, and its work does not allow to change that under it.
  void reload() {
    log(LogLevel::kInfo, "agent", "SIGHUP: looks at its certificates; anything else in agent.toml needs a restart");
    renew(identity.look_now());
  }

  // Connections, and the jobs that were ordered on them, go on.
  void renew(TlsIdentityFiles::Change change) {
    if (change == TlsIdentityFiles::Change::kUnusable) {
      log(LogLevel::kWarning, "agent",
          "the new certificate cannot be used, so the one before is: " + identity.trouble());
    }
    if (change == TlsIdentityFiles::Change::kReplaced) {
      if (auto tls = acceptor()) {
        api->use_certificate(std::move(*tls), identity.valid_until());
        warned_of_end_at.reset();
        log(LogLevel::kInfo, "agent",
            "a new certificate is used, valid until " + format_wall_time(identity.valid_until()));
      } else {
        log(LogLevel::kWarning, "agent", "the new certificate cannot be used: " + tls.error().message);
      }
    }
    warn_of_end();
  }

  void warn_of_end() {
    const WallTime now = wall_now();
    if (identity.valid_until() - now > kWarnBeforeEnd) return;
    if (warned_of_end_at && now - *warned_of_end_at < kWarnAgain) return;
    warned_of_end_at = now;
    log(LogLevel::kWarning, "agent",
        "the certificate " + config.tls.cert + ", or its authority's, ends at " +
            format_wall_time(identity.valid_until()) + ": from then on no pgkeel can reach this agent");
  }

  void died(const std::string& detail) {
    reported.reset();
    api->postmaster_ended(since_boot());
    log(LogLevel::kWarning, "agent", detail);
  }

  void look() {
    postmaster.arm(false);
    if (const auto pid = postmaster.pid()) {
      const auto file = read_postmaster_file(config.server.data_directory);
      if (file && file->pid == *pid) report({*pid, file->port, file->started_at.value_or(0), {}});
    }
    fence_if_unheard();
  }

  void report(const ReportedPostmaster& found) {
    if (reported && reported->same_process(found) && reported->port == found.port) return;
    reported = found;
    api->postmaster_runs(found);
  }

  // Nobody can tell it to stop, and perhaps another node was promoted: it must not take writes on.
  void fence_if_unheard() {
    if (config.fence_timeout == Duration::zero()) return;
    const Duration now = since_boot();
    if (now - api->last_heard() < config.fence_timeout) {
      told_of_fence = told_of_failure = false;
      return;
    }
    if (now < fence_not_before || jobs->running()) return;
    fence_not_before = now + kFenceAgainPause;
    const auto state = server.look();
    const bool runs = state.postmaster_pid || !state.other_pids.empty() || !state.unidentified_pids.empty();
    if (!runs || state.has_standby_signal) return;
    JobRequest request;
    request.id = kOwnJobPrefix + std::to_string(now.count());
    request.kind = JobKind::kFence;
    request.node = kOwnJobNode;
    request.limit = kOwnFenceLimit;
    if (const auto submitted = jobs->submit(request); !submitted)
      log(LogLevel::kError, "agent", "a primary without a pgkeel is not stopped: " + submitted.error().message);
  }

  JobOutcome work(const JobRequest& request, const NodeHost::Progress& progress, const std::stop_token& break_off) {
    const bool own = request.id.starts_with(kOwnJobPrefix);
    auto address = request.address;
    if (own) {  // whichever port it is on
      const auto file = read_postmaster_file(config.server.data_directory);
      address.port = file && file->port ? *file->port : 0;
    }
    auto outcome = carry_out(request, server.as_node(request.node, address).until(break_off), progress);
    if (own) tell_of_fence(outcome);
    if (request.kind == JobKind::kRejoin) lost->look_soon();
    return outcome;
  }

  // Once while no pgkeel is heard, however often somebody starts the server again.
  void tell_of_fence(const JobOutcome& outcome) {
    const std::string why = "no pgkeel was heard for " + format_duration(config.fence_timeout) +
                            " (fence_timeout) while this server was a primary";
    if (outcome.succeeded && !told_of_fence.exchange(true))
      notices.add(why + ": it was stopped, and no process of it is left");
    if (!outcome.succeeded && !told_of_failure.exchange(true))
      notices.add(why + ", and it could not be stopped: " + outcome.message);
  }

  const AgentConfig config;
  const QuarantineConfig bounds;
  Loop loop;
  const LocalServer server;
  NoticeBoard notices;
  PostmasterWatch postmaster;
  Timer look_again;
  TlsIdentityFiles identity;
  Timer look_at_certificates;
  std::optional<WallTime> warned_of_end_at;
  std::optional<ReportedPostmaster> reported;
  Duration fence_not_before{};
  std::atomic<bool> told_of_fence{false};
  std::atomic<bool> told_of_failure{false};
  std::unique_ptr<LostDesk> lost;
  std::unique_ptr<JobDesk> jobs;
  std::unique_ptr<AgentServer> api;
  std::vector<std::unique_ptr<SignalWatch>> signals;
};

Result<std::unique_ptr<AgentService>> AgentService::create(const AgentConfig& config,
                                                           const QuarantineConfig& quarantine) {
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);
  if (auto made = make_state_directory(config.state_directory); !made) return made.error();
  auto inner = std::make_unique<Inner>(config, quarantine);
  if (const auto started = inner->start(); !started) return started.error();
  return std::unique_ptr<AgentService>(new AgentService(std::move(inner)));
}

AgentService::AgentService(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

AgentService::~AgentService() {
  inner_->jobs->wait();
  inner_->api.reset();  // it asks the desks
}

void AgentService::run() {
  log(LogLevel::kInfo, "agent",
      "the agent of " + inner_->config.server.data_directory + " listens at " +
          format_host_port({inner_->config.listen.host, inner_->api->port()}));
  inner_->loop.run();
  inner_->lost->stop();
  inner_->jobs->give_up();
  log(LogLevel::kInfo, "agent", "the agent ends; PostgreSQL goes on");
}

bool AgentService::job_runs() const {
  return inner_->jobs->works() || inner_->lost->works();
}

}  // namespace pgkeel
