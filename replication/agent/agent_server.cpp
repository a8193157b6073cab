#include "replication/agent/agent_server.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <httplib.h>

#include "config/values.h"
#include "proxy/http/http_server.h"
#include "proxy/io/clock.h"
#include "proxy/io/random_id.h"
#include "proxy/io/socket.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 16;
constexpr int kWaitingMost = 10;  // calls that wait for news: the other threads stay free for the rest
constexpr Duration kWaitMost = 20s;
constexpr std::size_t kRequestBytesMax = 1U << 20;

std::string path(std::string_view rest) {
  return std::string(kAgentPathPrefix) + std::string(rest);
}

std::uint64_t number_parameter(const httplib::Request& request, const char* name, std::uint64_t otherwise = 0) {
  if (!request.has_param(name)) return otherwise;
  const std::string text = request.get_param_value(name);
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

void answer(httplib::Response& response, int status, const std::string& json) {
  response.status = status;
  response.set_content(json, "application/json");
}

// A call that waits counts while it does.
class Waiting {
 public:
  explicit Waiting(std::atomic<int>& count) : count_(count), allowed_(++count <= kWaitingMost) {}
  ~Waiting() { --count_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  [[nodiscard]] Duration limit(std::uint64_t milliseconds) const {
    if (!allowed_) return Duration::zero();
    return std::min<Duration>(std::chrono::milliseconds(std::min<std::uint64_t>(milliseconds, 3'600'000)), kWaitMost);
  }

 private:
  std::atomic<int>& count_;
  const bool allowed_;
};

}  // namespace

struct AgentServer::Inner {
  Inner(JobDesk& desk, NoticeBoard& board, LostDesk& reports,
        std::function<Result<NodeHostFacts>(const std::string&, const HostPort&)> look)
      : jobs(desk), notices(board), lost(reports), facts(std::move(look)) {}

  JobDesk& jobs;
  NoticeBoard& notices;
  LostDesk& lost;
  std::function<Result<NodeHostFacts>(const std::string&, const HostPort&)> facts;
  const std::string instance = random_id();
  std::unique_ptr<HttpServer> server;
  std::thread thread;
  std::uint16_t port = 0;
  std::atomic<int> waiting{0};
  std::atomic<Duration::rep> last_heard{since_boot().count()};

  std::mutex mutex;  // guards all below
  std::condition_variable news;
  std::uint64_t sequence = 1;
  std::optional<ReportedPostmaster> postmaster;
  std::optional<Duration> postmaster_ended;
  WallTime certificate_ends;
  bool stopping = false;

  template <class Change>
  void change(Change apply) {
    {
      const std::lock_guard lock(mutex);
      apply();
      ++sequence;
    }
    news.notify_all();
  }

  void add_routes() {
    server->Get(path("/watch"), [this](const auto& request, auto& response) { watch(request, response); });
    server->Get(path("/facts"), [this](const auto& request, auto& response) { tell_facts(request, response); });
    server->Post(path("/jobs"), [this](const auto& request, auto& response) { submit(request, response); });
    server->Get(path("/jobs/([A-Za-z0-9-]{1,64})"),
                [this](const auto& request, auto& response) { tell_job(request, response); });
    server->Post(path("/jobs/([A-Za-z0-9-]{1,64})/break_off"), [this](const auto& request, auto& response) {
      jobs.break_off(request.matches[1].str());
      tell_job(request, response);
    });
    add_routes_of_lost();
    server->set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty())
        answer(response, response.status, error_json("no such call in this version of the API"));
    });
  }

  void add_routes_of_lost() {
    const auto of_report = [](std::string_view rest) {
      return path("/lost/([A-Za-z0-9_.-]{1,128})") + std::string(rest);
    };
    const auto done = [](httplib::Response& response, const Result<void>& result) {
      if (!result) return answer(response, 409, error_json(result.error().message));
      answer(response, 200, "{}");
    };
    server->Get(path("/lost"), [this](const auto&, auto& response) { answer(response, 200, to_json(lost.entries())); });
    server->Get(of_report("/file"), [this](const auto& request, auto& response) {
      const auto piece = lost.read_piece(request.matches[1].str(), request.get_param_value("name"),
                                         number_parameter(request, "offset"));
      if (!piece) return answer(response, 404, error_json(piece.error().message));
      response.set_content(*piece, "application/octet-stream");
    });
    server->Post(of_report("/announced"), [this, done](const auto& request, auto& response) {
      done(response, lost.note_announced(request.matches[1].str()));
    });
    server->Post(of_report("/export"), [this, done](const auto& request, auto& response) {
      done(response, lost.begin_export(request.matches[1].str()));
    });
    server->Post(of_report("/export/remove"), [this, done](const auto& request, auto& response) {
      done(response, lost.remove_export(request.matches[1].str()));
    });
    server->Get(of_report("/export"), [this](const auto& request, auto& response) {
      const Waiting place(waiting);
      const auto record = lost.find_export(request.matches[1].str(), number_parameter(request, "after"),
                                           place.limit(number_parameter(request, "wait_ms")));
      if (!record) return answer(response, 404, error_json("its rows are not being written out"));
      answer(response, 200, to_json(*record));
    });
  }

  void heard() { last_heard = since_boot().count(); }

  // ?instance=I&after=N: answered at once where that is not what holds now; else when it changes, or after wait_ms.
  // heard=N: the notices up to this one are written down. looks_only=1: of a pgkeel that could not stop this server.
  void watch(const httplib::Request& request, httplib::Response& response) {
    if (!request.has_param("looks_only")) heard();
    if (const auto number = number_parameter(request, "heard"); number > 0) notices.heard(number);
    const bool known = request.get_param_value("instance") == instance;
    const auto after = number_parameter(request, "after");
    const Waiting place(waiting);
    {
      std::unique_lock lock(mutex);
      if (known) {
        news.wait_for(lock, place.limit(number_parameter(request, "wait_ms")),
                      [&] { return sequence != after || stopping; });
      }
    }
    answer(response, 200, to_json(report()));
  }

  AgentReport report() {
    AgentReport report;
    {
      const std::lock_guard lock(mutex);  // before what it counts: news that come meanwhile are answered once more
      report.sequence = sequence;
      report.postmaster = postmaster;
      report.postmaster_ended = postmaster_ended;
      report.certificate_ends = certificate_ends;
    }
    if (report.postmaster) {
      report.postmaster->uptime =
          std::max<Duration>(wall_now().time_since_epoch() - std::chrono::seconds(report.postmaster->started_at), 0s);
    }
    report.instance = instance;
    if (const auto job = jobs.running()) report.job = std::string(job_kind_name(job->kind)) + " of " + job->node;
    report.notices = notices.notices();
    report.clock = since_boot();
    return report;
  }

  // ?node=N&host=H&port=P: as which node, at which address pgkeel knows the server.
  void tell_facts(const httplib::Request& request, httplib::Response& response) {
    const std::string node = request.get_param_value("node");
    const std::string host = request.get_param_value("host");
    const auto number = number_parameter(request, "port");
    if (complain_of_node_name(node) || complain_of_host(host) || number == 0 || number > 65535)
      return answer(response, 400, error_json("node, host or port is missing, or not valid"));
    auto found = facts(node, {host, static_cast<std::uint16_t>(number)});
    if (!found) return answer(response, 500, error_json(found.error().message));
    {
      const std::lock_guard lock(mutex);
      found->certificate_ends = certificate_ends;
    }
    answer(response, 200, to_json(*found));
  }

  void submit(const httplib::Request& request, httplib::Response& response) {
    auto order = parse_job_request(request.body);
    if (!order) return answer(response, 400, error_json(order.error().message));
    const std::uint64_t term = order->term;
    const auto admission = jobs.submit(std::move(*order));
    if (!admission) return answer(response, 503, error_json(admission.error().message));
    if (admission->later_term != 0)
      return answer(response, 409,
                    error_json("an order of term " + std::to_string(term) + ", and a pgkeel that leads in term " +
                               std::to_string(admission->later_term) +
                               " has given orders here already (where etcd was made anew, restart the agent)"));
    heard();
    if (!admission->accepted) {
      const auto& running = admission->record;
      return answer(response, 409,
                    busy_json(running.id, "the agent is busy: " + std::string(job_kind_name(running.kind)) + " of " +
                                              running.node + " runs since " + format_wall_time(running.started_at) +
                                              " (job " + running.id + ")"));
    }
    answer(response, 202, to_json(admission->record));
  }

  // ?after=N&wait_ms=W: with the lines of progress after the first N; waits for news.
  void tell_job(const httplib::Request& request, httplib::Response& response) {
    heard();
    const Waiting place(waiting);
    const auto record = jobs.find(request.matches[1].str(), number_parameter(request, "after"),
                                  place.limit(number_parameter(request, "wait_ms")));
    if (!record) return answer(response, 404, error_json("the agent knows no job of this id"));
    answer(response, 200, to_json(*record));
  }
};

AgentServer::AgentServer(JobDesk& jobs, NoticeBoard& notices, LostDesk& lost,
                         std::function<Result<NodeHostFacts>(const std::string&, const HostPort&)> facts)
    : inner_(std::make_unique<Inner>(jobs, notices, lost, std::move(facts))) {}

AgentServer::~AgentServer() {
  inner_->change([this] { inner_->stopping = true; });
  if (inner_->server) inner_->server->stop_serving();
  if (inner_->thread.joinable()) inner_->thread.join();
}

Result<void> AgentServer::listen(const HostPort& address, std::shared_ptr<const TlsAcceptor> tls,
                                 WallTime certificate_ends) {
  auto socket = HttpServer::listen_at("[agent] listen", address);
  if (!socket) return socket.error();
  inner_->certificate_ends = certificate_ends;
  inner_->server = std::make_unique<HttpServer>(kThreads, std::move(tls));
  inner_->server->set_payload_max_length(kRequestBytesMax);
  inner_->add_routes();
  inner_->port = socket->bound_port();
  inner_->thread = std::thread(
      [inner = inner_.get(), descriptor = socket->release()] { inner->server->serve(Socket::take(descriptor)); });
  return {};
}

void AgentServer::use_certificate(std::shared_ptr<const TlsAcceptor> tls, WallTime certificate_ends) {
  inner_->server->use(std::move(tls));
  inner_->change([&] { inner_->certificate_ends = certificate_ends; });
}

std::uint16_t AgentServer::port() const {
  return inner_->port;
}

void AgentServer::postmaster_runs(const ReportedPostmaster& postmaster) {
  inner_->change([&] { inner_->postmaster = postmaster; });
}

void AgentServer::postmaster_ended(Duration since_boot) {
  inner_->change([&] {
    inner_->postmaster.reset();
    inner_->postmaster_ended = since_boot;
  });
}

void AgentServer::changed() {
  inner_->change([] {});
}

Duration AgentServer::last_heard() const {
  return Duration(inner_->last_heard.load());
}

}  // namespace pgkeel
