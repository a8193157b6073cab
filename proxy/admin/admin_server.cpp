#include "proxy/admin/admin_server.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <thread>

#include <httplib.h>

#include "proxy/admin/http_server.h"
#include "proxy/admin/status_json.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 24;
constexpr int kWaitingMax = 8;  // requests that wait for events: the other threads stay free for the rest
constexpr std::size_t kEventsAtOnce = 500;
constexpr auto kEventPoll = 50ms;
constexpr auto kEventWaitMax = 20s;
constexpr std::size_t kRequestBytesMax = 64 * 1024;

std::uint64_t number_parameter(const httplib::Request& request, const char* name, std::uint64_t otherwise) {
  if (!request.has_param(name)) return otherwise;
  const std::string text = request.get_param_value(name);
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && end == text.data() + text.size() ? value : otherwise;
}

void answer_text(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + "\n", "text/plain; charset=utf-8");
}

}  // namespace

struct AdminServer::Inner {
  AdminSources sources;
  HttpServer server{kThreads};
  std::thread thread;
  std::atomic<bool> stopping{false};
  std::atomic<int> waiting{0};
  std::uint16_t port = 0;

  void add_routes() {
    server.Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
      const bool answers = sources.clusters().has_value();
      answer_text(response, answers ? 200 : 503, answers ? "ok" : "the control thread does not answer");
    });
    server.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) { ready(response); });
    server.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
        response.set_content(sources.metrics(clusters), "text/plain; version=0.0.4; charset=utf-8");
      });
    });
    server.Get("/api/v1/clusters", [this](const httplib::Request&, httplib::Response& response) {
      with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
        response.set_content(clusters_json(clusters), "application/json");
      });
    });
    server.Get(R"(/api/v1/clusters/([A-Za-z0-9_-]+))",
               [this](const httplib::Request& request, httplib::Response& response) {
                 with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
                   const auto found = std::ranges::find(clusters, request.matches[1].str(), &ClusterStatus::name);
                   if (found == clusters.end()) return answer_text(response, 404, "no such cluster");
                   response.set_content(cluster_json(*found), "application/json");
                 });
               });
    server.Get("/api/v1/events",
               [this](const httplib::Request& request, httplib::Response& response) { events(request, response); });
  }

  template <class Use>
  void with_clusters(httplib::Response& response, Use use) {
    const auto clusters = sources.clusters();
    if (!clusters) return answer_text(response, 503, "the control thread does not answer");
    use(*clusters);
  }

  void ready(httplib::Response& response) {
    with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
      for (const auto& cluster : clusters) {
        if (cluster.route.empty()) return answer_text(response, 503, cluster.name + ": " + cluster.summary);
      }
      answer_text(response, 200, "ok");
    });
  }

  // ?after=ID: the events after this one; &wait_ms=N: where there is none yet, wait so long for one.
  void events(const httplib::Request& request, httplib::Response& response) {
    const std::uint64_t after = number_parameter(request, "after", 0);
    const auto wait = std::min<std::chrono::milliseconds>(
        std::chrono::milliseconds(std::min<std::uint64_t>(number_parameter(request, "wait_ms", 0), 3'600'000)),
        kEventWaitMax);
    auto found = sources.events->since(after, kEventsAtOnce);
    if (++waiting <= kWaitingMax) {
      for (auto waited = 0ms; found.empty() && waited < wait && !stopping; waited += kEventPoll) {
        std::this_thread::sleep_for(kEventPoll);
        found = sources.events->since(after, kEventsAtOnce);
      }
    }
    --waiting;
    std::string json = "{\"events\": [";
    for (std::size_t i = 0; i < found.size(); ++i) json += (i > 0 ? ",\n" : "\n") + event_json(found[i]);
    response.set_content(json + "\n]}\n", "application/json");
  }
};

Result<std::unique_ptr<AdminServer>> AdminServer::start(const HostPort& listen, AdminSources sources) {
  auto inner = std::make_unique<Inner>();
  inner->sources = std::move(sources);
  inner->server.set_payload_max_length(kRequestBytesMax);
  inner->add_routes();
  // httplib's default, SO_REUSEPORT, would let a second pgkeel share the port unnoticed.
  inner->server.set_socket_options([](auto descriptor) {
    const int yes = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  if (listen.port == 0) {
    const int port = inner->server.bind_to_any_port(listen.host);
    if (port <= 0) return Error{"[admin] listen " + format_host_port(listen) + " cannot be bound"};
    inner->port = static_cast<std::uint16_t>(port);
  } else {
    if (!inner->server.bind_to_port(listen.host, listen.port)) {
      return Error{"[admin] listen " + format_host_port(listen) + " cannot be bound: is another process using it?"};
    }
    inner->port = listen.port;
  }
  inner->server.widen_backlog();
  inner->thread = std::thread([server = &inner->server] { server->listen_after_bind(); });
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(inner)));
}

AdminServer::AdminServer(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

AdminServer::~AdminServer() {
  inner_->stopping = true;
  inner_->server.stop();
  inner_->thread.join();
}

std::uint16_t AdminServer::port() const {
  return inner_->port;
}

}  // namespace pgkeel
