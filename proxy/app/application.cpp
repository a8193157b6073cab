#include "proxy/app/application.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <utility>

#include "proxy/admin/token_file.h"
#include "proxy/app/application_ask.h"
#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/host_name.h"
#include "proxy/listener/listener.h"
#include "proxy/metrics/exporter.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

std::string own_program() {
  std::error_code problem;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", problem);
  return problem ? std::string() : path.string();
}

}  // namespace

Result<std::unique_ptr<Application>> Application::create(const Config& config, StartOptions options) {
  const std::uint64_t descriptor_limit = raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);
  std::optional<Takeover> takeover;
  if (options.take_over) {
    auto begun = Takeover::begin(config.state_directory);
    if (!begun) return begun.error();
    takeover = std::move(*begun);
  }
  std::unique_ptr<Application> application(new Application(config, std::move(options)));
  if (const auto started = application->start(descriptor_limit, takeover); !started) return started.error();
  return application;
}

Application::Application(const Config& config, StartOptions options)
    : config_(config),
      options_(std::move(options)),
      program_(own_program()),
      configuration_(options_.config_path, wall_now()),
      wakeup_(std::make_unique<Wakeup>(loop_)),
      admin_certificate_(
          loop_,
          [this](std::shared_ptr<const TlsAcceptor> acceptor) {
            configuration_.admin_certificate(admin_certificate_.certificate());
            if (admin_) admin_->use(std::move(acceptor));
          },
          [this](LogLevel severity, const std::string& text) { record(severity, "certificate", text); }),
      coordination_certificates_(
          loop_, [this](LogLevel severity, const std::string& text) { record(severity, "certificate", text); },
          [this](const auto& certificates) { configuration_.coordination_certificates(certificates); }),
      jobs_(loop_),
      drain_look_(loop_, [this] { look_at_drain(); }),
      drain_limit_(loop_, [this] { begin_stop("the time is over that sessions have to end after a restart"); }),
      hears_again_(loop_, [this] { workers_->turn_deaf_to({}); }) {}

Result<void> Application::start(std::uint64_t descriptor_limit, std::optional<Takeover>& takeover) {
  const auto keep_state = [this](Result<StateDirectory> state) -> Result<void> {
    if (!state) return state.error();
    state_ = std::make_unique<StateDirectory>(std::move(*state));
    return {};
  };
  if (!takeover) {
    const Duration patience = options_.take_over ? kDyingTakes : Duration::zero();
    if (const auto kept = keep_state(StateDirectory::open(config_.state_directory, patience)); !kept) return kept;
  }
  if (const auto started = start_data_path(descriptor_limit, takeover); !started) return started.error();
  std::optional<Inheritance> inheritance;
  if (takeover) {
    auto received = takeover->receive();
    if (!received) return received.error();
    inheritance = std::move(*received);
    const auto kept =
        keep_state(inheritance ? StateDirectory::take_over(config_.state_directory, std::move(inheritance->lock))
                               : StateDirectory::open(config_.state_directory, kDyingTakes));
    if (!kept) return kept;
  }
  if (inheritance) {
    if (const auto same = check_membership(inheritance->membership); !same) return same.error();
    membership_ = inheritance->membership;
    for (const auto& [endpoint, route] : inheritance->routes) {
      if (!workers_->has_endpoint(endpoint))
        return Error{"the running pgkeel serves cluster " + endpoint +
                     ", which is not configured: reload or stop that one first"};
    }
  }
  if (!inheritance) {
    if (const auto ended = end_lost_formers(); !ended) return ended.error();
  }
  if (const auto opened = open_control(); !opened) return opened.error();
  std::optional<FormerHandle> former;
  if (inheritance) {
    auto confirmed = takeover->confirm();
    if (!confirmed) return confirmed.error();
    former = std::move(*confirmed);
  }
  if (takeover) record_takeover(takeover->former(), inheritance, former.has_value());
  const bool is_main = !former;
  const auto open_routes = inheritance ? inheritance->routes : std::map<std::string, Route>();
  if (inheritance) take_over(std::move(*inheritance), std::move(former));
  watch_signals();
  start_control(open_routes);
  if (is_main) tell_service_manager();
  return {};
}

Result<void> Application::start_data_path(std::uint64_t descriptor_limit, std::optional<Takeover>& takeover) {
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
  auto admin_tls = load_admin_tls(config_.admin.tls);
  if (!admin_tls) return admin_tls.error();
  admin_certificate_.use(std::move(*admin_tls));
  std::vector<NamedSocket> passed = sockets_from_service_manager();
  auto& inherited = takeover ? takeover->sockets() : passed;
  const Duration patience = options_.take_over && !takeover ? kDyingTakes : Duration::zero();
  if (const auto started = workers_->start(inherited, patience); !started) return started.error();
  auto admin = Listener::bind_all(config_.admin.listen, "admin", inherited, patience);
  if (!admin) return Error{"[admin]: " + admin.error().message};
  admin_socket_ = std::move(admin->front());
  if (const auto listening = admin_socket_.start_listening(); !listening) {
    return Error{"[admin] listen " + format_host_port(config_.admin.listen) +
                 " cannot be listened at: " + describe_system_error(listening.error().code)};
  }
  for (const auto& unused : inherited) service_manager_.forget_socket(unused.name);
  inherited.clear();
  return {};
}

// Reads what was decided so far. Nothing is done by it.
Result<void> Application::open_control() {
  auto events = EventLog::open(config_.state_directory);
  if (!events) return events.error();
  auto decisions = DecisionLog::open(config_.state_directory);
  if (!decisions) return decisions.error();
  events_ = std::move(*events);
  decisions_ = std::move(*decisions);
  if (const auto opened = open_coordination(); !opened) return opened.error();
  for (const auto& cluster : config_.clusters) {
    auto memory = state_->load(cluster.name);
    if (!memory) return memory.error();
    const auto wanted = options_.adopt.find(cluster.name);
    clusters_.push_back(
        make_cluster(cluster, std::move(*memory), wanted == options_.adopt.end() ? std::string() : wanted->second));
  }
  return {};
}

// From now on we decide. `open_routes`: where the endpoints lead at this moment, by name.
void Application::start_control(const std::map<std::string, Route>& open_routes) {
  if (vip_) vip_->take_over();
  for (const auto& cluster : clusters_) cluster->start(open_routes);
  // Nobody has renewed the lease since the former process gave it up.
  if (coordinator_) coordinator_->start();
  workers_->go_on_accepting();
  if (const auto started = start_admin(); !started) log(LogLevel::kError, "admin", started.error().message);
  write_admin_address();
  if (giver_) return;
  auto giver = HandoverGiver::open(loop_, config_.state_directory, *this);
  if (giver)
    giver_ = std::move(*giver);
  else
    log(LogLevel::kWarning, "handover", "no other process can take over from this one: " + giver.error().message);
}

void Application::watch_signals() {
  for (const int number : {SIGTERM, SIGINT}) {
    signals_.push_back(std::make_unique<SignalWatch>(loop_, number, [this, number] { stop_by_signal(number); }));
  }
  signals_.push_back(std::make_unique<SignalWatch>(loop_, SIGHUP, [this] { reload("SIGHUP", false); }));
  signals_.push_back(std::make_unique<SignalWatch>(loop_, SIGUSR2, [this] {
    if (const auto begun = start_successor(); !begun) handover_failed(begun.error().message);
  }));
}

std::vector<LoopStatus> Application::loops() const {
  std::vector<LoopStatus> loops = {{"control", loop_lag_.worst()}};
  for (const Duration lag : workers_->loop_lags()) loops.push_back({"worker " + std::to_string(loops.size() - 1), lag});
  return loops;
}

Result<void> Application::start_admin() {
  AdminSources sources;
  sources.clusters = [this] { return ask_clusters(); };
  sources.metrics = [this](const std::vector<ClusterStatus>& clusters) {
    return prometheus_text(clusters, configuration_.status(), loops());
  };
  sources.configuration = [this] { return configuration_.status(); };
  sources.reload = [this](const std::string& by, bool preview) {
    return ask<ReloadAnswer>([this, by, preview] { return reload(by, preview); });
  };
  sources.events = events_.get();
  sources.decisions = decisions_.get();
  sources.give_order = [this](const std::string& cluster, const OperatorOrder& order, bool preview) {
    return give_order(cluster, order, preview);
  };
  sources.process = [this] { return ask<ProcessStatus>([this] { return process_status(); }); };
  sources.restart = [this](const std::string& by) {
    return ask<Result<void>>([this, by]() -> Result<void> {
      record(LogLevel::kWarning, "order", "restart in place, from " + by);
      auto begun = start_successor();
      if (!begun) record(LogLevel::kWarning, "order", "restart refused: " + begun.error().message);
      return begun;
    });
  };
  sources.lead = [this](const LeadRequest& request, const std::string& by) { return order_to_lead(request, by); };
  sources.audit = [this](const std::string& text) { audit(text); };
  // Clients are served whether an operator can change something or not.
  if (auto tokens = read_or_make_tokens(config_.admin.token_file)) {
    sources.tokens = std::move(*tokens);
  } else {
    log(LogLevel::kWarning, "admin",
        tokens.error().message + "; until a restart nothing can be changed through [admin]");
  }
  sources.tls = admin_certificate_.acceptor();
  sources.hosts = {config_.admin.listen.host, own_host_name()};
  auto socket = duplicate_socket(admin_socket_.descriptor());
  if (!socket) return Error{"the admin endpoint gets no descriptor: " + describe_system_error(socket.error().code)};
  admin_ = AdminServer::start(std::move(*socket), std::move(sources));
  return {};
}

Application::~Application() {
  has_ended_ = true;
  giver_.reset();
  formers_.clear();
  admin_.reset();
  signals_.clear();
  clusters_.clear();
  leadership_.reset();
  unserved_.reset();
  vip_agreement_.reset();
  vip_.reset();
  peers_.reset();
  coordinator_.reset();
  workers_.reset();
  wakeup_.reset();
}

void Application::run() {
  for (const auto& cluster : config_.clusters) {
    log(LogLevel::kInfo, cluster.name,
        "the access point is " + format_host_port({cluster.listen.host, workers_->bound_port(cluster.name)}));
    if (!cluster.has_read_only_endpoint()) continue;
    const std::uint16_t port = workers_->bound_port(endpoint_name(cluster.name, Endpoint::kReadOnly));
    log(LogLevel::kInfo, cluster.name,
        "the read-only endpoint is " + format_host_port({cluster.listen_read_only.host, port}));
  }
  log(LogLevel::kInfo, "pgkeel", "status, events and metrics are at " + admin_url());
  loop_.run();
}

std::string Application::admin_url() const {
  return (config_.admin.tls.cert.empty() ? "http://" : "https://") +
         format_host_port({config_.admin.listen.host, admin_socket_.bound_port()});
}

ClusterService* Application::find_cluster(const std::string& name) const {
  const auto found = std::ranges::find_if(clusters_, [&](const auto& cluster) { return cluster->name() == name; });
  return found == clusters_.end() ? nullptr : found->get();
}

std::unique_ptr<ClusterService> Application::make_cluster(const ClusterConfig& config, ClusterMemory memory,
                                                          std::string adopt) {
  auto service = std::make_unique<ClusterService>(
      loop_, config, config_.quarantine, std::move(memory), std::move(adopt), *state_, *events_, *decisions_, *workers_,
      [this](const std::string& cluster, Route route, std::function<void()> applied, std::function<void()> drained) {
        publish_route(cluster, std::move(route), std::move(applied), std::move(drained));
      });
  if (coordinator_) {
    service->agree_through(
        *coordinator_,
        [this, name = config.name](const std::string& node) { return leadership_->sights_of(name, node); },
        [this, name = config.name](Instant until) { set_write_deadline(name, until); });
  }
  return service;
}

bool Application::jobs_run() const {
  return !jobs_.idle() || std::ranges::any_of(clusters_, [](const auto& cluster) { return cluster->jobs_run(); });
}

void Application::audit(const std::string& text) {
  wakeup_->post([this, text] { record(LogLevel::kWarning, "order", text); });
}

// Of no cluster. Whoever has given up the event log has the log alone.
void Application::record(LogLevel severity, const std::string& kind, const std::string& text) {
  log(severity, "pgkeel", text);
  if (!events_) return;
  Event event;
  event.when = wall_now();
  event.severity = severity;
  event.kind = kind;
  event.text = text;
  events_->record(std::move(event));
}

// With port 0 in the configuration the other verbs could not know where to ask.
void Application::write_admin_address() const {
  const std::string address = format_host_port({config_.admin.listen.host, admin_socket_.bound_port()}) + "\n";
  if (const auto written = write_durably(config_.state_directory + "/admin.address", address); !written) {
    log(LogLevel::kWarning, "pgkeel", written.error().message);
  }
}

}  // namespace pgkeel
