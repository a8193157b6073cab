#include "proxy/app/application.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <utility>

#include "proxy/admin/token_file.h"
#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/durable_file.h"
#include "proxy/metrics/exporter.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStopLimit = 5s;
constexpr auto kAnswerLimit = 2s;

}  // namespace

Result<std::unique_ptr<Application>> Application::create(const Config& config,
                                                         std::map<std::string, std::string> adopt) {
  const std::uint64_t descriptor_limit = raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);
  auto state = StateDirectory::open(config.state_directory);
  if (!state) return state.error();
  auto events = EventLog::open(config.state_directory);
  if (!events) return events.error();
  auto decisions = DecisionLog::open(config.state_directory);
  if (!decisions) return decisions.error();
  std::unique_ptr<Application> application(
      new Application(config, std::move(*state), std::move(*events), std::move(*decisions)));
  if (const auto started = application->start(descriptor_limit, adopt); !started) return started.error();
  return application;
}

Application::Application(const Config& config, StateDirectory state, std::unique_ptr<EventLog> events,
                         std::unique_ptr<DecisionLog> decisions)
    : config_(config),
      state_(std::move(state)),
      events_(std::move(events)),
      decisions_(std::move(decisions)),
      wakeup_(std::make_unique<Wakeup>(loop_)) {}

Result<void> Application::start(std::uint64_t descriptor_limit, const std::map<std::string, std::string>& adopt) {
  workers_ = std::make_unique<WorkerPool>(
      loop_, config_.proxy, config_.clusters, descriptor_limit,
      [this](const LinkEvidence& evidence) {
        if (auto* cluster = find_cluster(evidence.cluster)) cluster->link_evidence(evidence);
      },
      [this](const CancelQuestion& question, CancelAnswer answer) {
        if (auto* cluster = find_cluster(question.cluster)) cluster->judge_cancel(question, std::move(answer));
      },
      [this](const VerifierQuestion& question, const VerifierSink& sink) {
        if (auto* cluster = find_cluster(question.cluster)) cluster->read_verifier(question, sink);
      });
  for (const auto& cluster : config_.clusters) {
    auto memory = state_.load(cluster.name);
    if (!memory) return memory.error();
    const auto wanted = adopt.find(cluster.name);
    clusters_.push_back(std::make_unique<ClusterService>(loop_, cluster, config_.quarantine, std::move(*memory),
                                                         wanted == adopt.end() ? "" : wanted->second, state_, *events_,
                                                         *decisions_, *workers_));
  }
  std::vector<NamedSocket> inherited;
  if (const auto started = workers_->start(inherited); !started) return started.error();

  if (const auto started = start_admin(); !started) {
    workers_->stop(kStopLimit, [this] { loop_.stop(); });
    loop_.run();
    return started.error();
  }
  write_admin_address();

  for (const int number : {SIGTERM, SIGINT}) {
    signals_.push_back(std::make_unique<SignalWatch>(
        loop_, number, [this, number] { begin_stop(number == SIGTERM ? "SIGTERM" : "SIGINT"); }));
  }
  signals_.push_back(std::make_unique<SignalWatch>(loop_, SIGHUP, [this] {
    log(LogLevel::kInfo, "pgkeel",
        "SIGHUP: TLS files are read again; this version cannot reload its configuration, restart it to change that");
    for (const auto& cluster : clusters_) cluster->reload_certificates();
  }));
  for (const auto& cluster : clusters_) cluster->start();
  workers_->go_on_accepting();
  return {};
}

std::vector<LoopStatus> Application::loops() const {
  std::vector<LoopStatus> loops = {{"control", loop_lag_.worst()}};
  for (const Duration lag : workers_->loop_lags()) loops.push_back({"worker " + std::to_string(loops.size() - 1), lag});
  return loops;
}

Result<void> Application::start_admin() {
  AdminSources sources;
  sources.clusters = [this] { return ask_clusters(); };
  sources.metrics = [this](const std::vector<ClusterStatus>& clusters) { return prometheus_text(clusters, loops()); };
  sources.events = events_.get();
  sources.decisions = decisions_.get();
  sources.give_order = [this](const std::string& cluster, const OperatorOrder& order, bool preview) {
    return give_order(cluster, order, preview);
  };
  sources.audit = [this](const std::string& text) { audit(text); };
  // Clients are served whether an operator can change something or not.
  if (auto token = read_or_make_token(config_.admin.token_file)) {
    sources.token = std::move(*token);
  } else {
    log(LogLevel::kWarning, "admin",
        token.error().message + "; until a restart nothing can be changed through [admin]");
  }
  auto admin = AdminServer::start(config_.admin.listen, std::move(sources));
  if (!admin) return admin.error();
  admin_ = std::move(*admin);
  return {};
}

Application::~Application() {
  admin_.reset();  // its threads ask the control thread, which answers no more: they give up after kAnswerLimit
  signals_.clear();
  clusters_.clear();
  workers_.reset();
  wakeup_.reset();
}

void Application::run() {
  for (const auto& cluster : config_.clusters) {
    log(LogLevel::kInfo, cluster.name,
        "the access point is " + format_host_port({cluster.listen.host, workers_->bound_port(cluster.name)}));
  }
  log(LogLevel::kInfo, "pgkeel",
      "status, events and metrics are at http://" + format_host_port({config_.admin.listen.host, admin_->port()}));
  loop_.run();
}

ClusterService* Application::find_cluster(const std::string& name) const {
  for (std::size_t index = 0; index < clusters_.size(); ++index) {
    if (config_.clusters[index].name == name) return clusters_[index].get();
  }
  return nullptr;
}

bool Application::jobs_run() const {
  return std::ranges::any_of(clusters_, [](const auto& cluster) { return cluster->jobs_run(); });
}

void Application::begin_stop(const char* signal_name) {
  if (std::exchange(stopping_, true)) return;
  log(LogLevel::kInfo, "pgkeel", std::string(signal_name) + ": ending every client with 57P01, then this process");
  workers_->stop(kStopLimit, [this] { loop_.stop(); });
}

template <class Answer>
std::optional<Answer> Application::ask(std::function<Answer()> question) {
  struct Asked {
    std::promise<Answer> answer;
    std::atomic<bool> taken{false};  // by the control thread to answer it, or by us to take it back
  };
  const auto asked = std::make_shared<Asked>();
  auto future = asked->answer.get_future();
  wakeup_->post([asked, question = std::move(question)] {
    if (!asked->taken.exchange(true)) asked->answer.set_value(question());
  });
  if (future.wait_for(kAnswerLimit) != std::future_status::ready && !asked->taken.exchange(true)) return std::nullopt;
  return future.get();
}

std::optional<std::vector<ClusterStatus>> Application::ask_clusters() {
  return ask<std::vector<ClusterStatus>>([this] {
    std::vector<ClusterStatus> statuses;
    for (const auto& cluster : clusters_) statuses.push_back(cluster->status());
    return statuses;
  });
}

std::optional<OrderAnswer> Application::give_order(const std::string& cluster, const OperatorOrder& order,
                                                   bool preview) {
  return ask<OrderAnswer>([this, cluster, order, preview] {
    if (auto* service = find_cluster(cluster)) return service->give_order(order, preview);
    OrderAnswer answer;
    answer.reason = "no such cluster";
    return answer;
  });
}

void Application::audit(const std::string& text) {
  wakeup_->post([this, text] {
    Event event;
    event.when = wall_now();
    event.severity = LogLevel::kWarning;
    event.kind = "order";
    event.text = text;
    log(event.severity, "admin", events_->record(std::move(event)).text);
  });
}

// With port 0 in the configuration the other verbs could not know where to ask.
void Application::write_admin_address() const {
  const std::string address = format_host_port({config_.admin.listen.host, admin_->port()}) + "\n";
  if (const auto written = write_durably(config_.state_directory + "/admin.address", address); !written) {
    log(LogLevel::kWarning, "pgkeel", written.error().message);
  }
}

}  // namespace pgkeel
