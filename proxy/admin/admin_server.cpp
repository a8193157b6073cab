#include "proxy/admin/admin_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <regex>
#include <thread>

#include <httplib.h>

#include "proxy/admin/balancer_answer.h"
#include "proxy/admin/embedded.h"
#include "proxy/admin/event_stream.h"
#include "proxy/admin/host_check.h"
#include "proxy/admin/order_json.h"
#include "proxy/admin/query_number.h"
#include "proxy/admin/request_members.h"
#include "proxy/admin/status_json.h"
#include "proxy/admin/token_guard.h"
#include "proxy/http/http_server.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 24;
constexpr int kWaitingMax = 8;                // requests that wait for events: the other threads stay free for the rest
constexpr int kStreamsMax = 8;                // likewise
constexpr std::uint64_t kEventsBefore = 300;  // that a stream begins with
constexpr std::size_t kEventsAtOnce = 500;
constexpr std::size_t kDecisionsAtOnce = 100;
constexpr auto kEventPoll = 50ms;
constexpr int kHeldBackMax = 4;  // answers to wrong tokens
constexpr auto kHoldBack = 1000ms;
constexpr auto kEventWaitMax = 20s;
constexpr std::size_t kRequestBytesMax = 64 * 1024;

void answer_text(httplib::Response& response, int status, const std::string& text) {
  response.status = status;
  response.set_content(text + "\n", "text/plain; charset=utf-8");
}

}  // namespace

struct AdminServer::Inner {
  AdminSources sources;
  HttpServer server;
  std::thread thread;
  std::atomic<bool> stopping{false};
  std::atomic<int> waiting{0};
  std::atomic<int> streams{0};
  std::atomic<int> held_back{0};
  std::uint16_t port = 0;
  std::vector<std::string> routes;
  TokenGuard guard;

  explicit Inner(AdminSources from)
      : sources(std::move(from)), server(kThreads, std::move(sources.tls)), guard(sources.tokens) {}

  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  // `path` as OpenAPI writes it; request.matches holds what stands for each {name}, in order.
  void route(const std::string& method, const std::string& path, Handler handler) {
    routes.push_back(method + " " + path);
    const std::string pattern = std::regex_replace(path, std::regex(R"(\{[a-z_]+\})"), "([A-Za-z0-9_.-]+)");
    if (method == "GET") {
      server.Get(pattern, std::move(handler));
    } else {
      server.Post(pattern, std::move(handler));
      // Nothing is changed by a GET.
      server.Get(pattern, [](const httplib::Request&, httplib::Response& response) {
        response.set_header("Allow", "POST");
        answer_text(response, 405, "POST it");
      });
    }
  }

  // The console needs nothing from elsewhere, nor may it be made to.
  void route_page(const std::string& path, const char* type, const std::string& (*text)()) {
    route("GET", path, [type, text](const httplib::Request&, httplib::Response& response) {
      response.set_header("Content-Security-Policy",
                          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
      response.set_header("X-Content-Type-Options", "nosniff");
      response.set_header("Referrer-Policy", "no-referrer");
      response.set_header("Cache-Control", "no-cache");
      response.set_content(text(), type);
    });
  }

  // Also as `path`/CLUSTER and `path`/CLUSTER/NODE.
  void route_balancer(const std::string& path, BalancerQuestion question) {
    const Handler answer = [this, question](const httplib::Request& request, httplib::Response& response) {
      const auto given = [&](std::size_t place, const char* parameter) {
        return request.matches.size() > place ? request.matches[place].str() : request.get_param_value(parameter);
      };
      with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
        const auto found = answer_balancer(question, clusters, given(1, "cluster"), given(2, "node"));
        answer_text(response, found.status, found.text);
      });
    };
    route("GET", path, answer);
    route("GET", path + "/{cluster}", answer);
    if (question != BalancerQuestion::kLeader) route("GET", path + "/{cluster}/{node}", answer);
  }

  // Encrypted, nobody else's name leads here (host_check.h).
  void check_host() {
    server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      if (server.is_encrypted() || is_for_machines(request.path)) return httplib::Server::HandlerResponse::Unhandled;
      if (is_right_host(request.get_header_value("Host"), sources.hosts))
        return httplib::Server::HandlerResponse::Unhandled;
      answer_text(
          response, 421,
          "without TLS this pgkeel answers to its addresses, to localhost and to the name of its host only: ask by "
          "one of these, or give it a certificate ([admin] tls), under whose names it answers");
      return httplib::Server::HandlerResponse::Handled;
    });
  }

  void add_routes() {
    route_page("/", "text/html; charset=utf-8", console_html);
    route_page("/console.css", "text/css; charset=utf-8", console_css);
    route_page("/console.js", "text/javascript; charset=utf-8", console_js);
    route("GET", "/healthz", [this](const httplib::Request&, httplib::Response& response) {
      const bool answers = sources.clusters().has_value();
      answer_text(response, answers ? 200 : 503, answers ? "ok" : "the control thread does not answer");
    });
    route("GET", "/readyz", [this](const httplib::Request&, httplib::Response& response) { ready(response); });
    route_balancer("/primary", BalancerQuestion::kPrimary);
    route_balancer("/replica", BalancerQuestion::kReplica);
    route_balancer("/leader", BalancerQuestion::kLeader);
    route("GET", "/metrics", [this](const httplib::Request&, httplib::Response& response) {
      with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
        response.set_content(sources.metrics(clusters), "text/plain; version=0.0.4; charset=utf-8");
      });
    });
    route("GET", "/api/v1/clusters", [this](const httplib::Request&, httplib::Response& response) {
      with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
        response.set_content(clusters_json(clusters, sources.configuration()), "application/json");
      });
    });
    route("GET", "/api/v1/clusters/{cluster}", [this](const httplib::Request& request, httplib::Response& response) {
      with_cluster(request, response, [&](const ClusterStatus& cluster) {
        response.set_content(cluster_json(cluster), "application/json");
      });
    });
    route("GET", "/api/v1/clusters/{cluster}/orders/{id}",
          [this](const httplib::Request& request, httplib::Response& response) { order(request, response); });
    route("GET", "/api/v1/clusters/{cluster}/decisions",
          [this](const httplib::Request& request, httplib::Response& response) { decisions(request, response); });
    for (const OrderKind kind : kAllOrderKinds) {
      route("POST", std::string("/api/v1/clusters/{cluster}/") + order_name(kind),
            [this, kind](const httplib::Request& request, httplib::Response& response) {
              if (const auto by = who_changes(request, response)) give_order(kind, *by, request, response);
            });
    }
    route("POST", "/api/v1/reload", [this](const httplib::Request& request, httplib::Response& response) {
      if (const auto by = who_changes(request, response)) reload(*by, request, response);
    });
    route("GET", "/api/v1/events",
          [this](const httplib::Request& request, httplib::Response& response) { events(request, response); });
    route("GET", "/api/v1/process", [this](const httplib::Request&, httplib::Response& response) {
      const auto process = sources.process ? sources.process() : std::nullopt;
      if (!process) return answer_text(response, 503, "the control thread does not answer");
      response.set_content(process_json(*process), "application/json");
    });
    route("POST", "/api/v1/restart", [this](const httplib::Request& request, httplib::Response& response) {
      if (const auto by = who_changes(request, response)) restart(*by, request, response);
    });
    route("POST", "/api/v1/lead", [this](const httplib::Request& request, httplib::Response& response) {
      if (const auto by = who_changes(request, response)) lead(*by, request, response);
    });
    route("GET", "/api/v1/openapi.json", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(openapi_json(), "application/json");
    });
  }

  template <class Use>
  void with_clusters(httplib::Response& response, Use use) {
    const auto clusters = sources.clusters();
    if (!clusters) return answer_text(response, 503, "the control thread does not answer");
    use(*clusters);
  }

  template <class Use>
  void with_cluster(const httplib::Request& request, httplib::Response& response, Use use) {
    with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
      const auto found = std::ranges::find(clusters, request.matches[1].str(), &ClusterStatus::name);
      if (found == clusters.end()) return answer_text(response, 404, "no such cluster");
      use(*found);
    });
  }

  // Who it is that wants to change something, and from where, for those who ask later. Nothing: it may not, and has its
  // answer.
  std::optional<std::string> who_changes(const httplib::Request& request, httplib::Response& response) {
    if (!guard.has_token()) {
      answer_text(response, 503, "nothing can be changed here: there is no token; the log of pgkeel says why");
      return std::nullopt;
    }
    const auto answer = guard.check(request.remote_addr, request.get_header_value("Authorization"), monotonic_now());
    const auto retry_after = std::to_string((to_milliseconds(answer.retry_after) + 999) / 1000);
    switch (answer.verdict) {
      case TokenGuard::Verdict::kGranted:
        break;
      case TokenGuard::Verdict::kTooMany:
        hold_back();
        response.set_header("Retry-After", retry_after);
        answer_text(response, 429,
                    "too many different wrong tokens from " + request.remote_addr +
                        ": none from there is looked at for " + retry_after + " s");
        return std::nullopt;
      case TokenGuard::Verdict::kMissing:
      case TokenGuard::Verdict::kWrong:
        if (answer.worth_telling) {
          sources.audit("a wrong token from " + format_host_port(asker(request)) + " for " + request.method + " " +
                        request.path);
        }
        response.set_header("WWW-Authenticate", "Bearer realm=\"pgkeel\"");
        answer_text(response, 401, "the bearer token of [admin] token_file is needed");
        return std::nullopt;
    }
    const std::string type = request.get_header_value("Content-Type");
    if (type.substr(0, type.find_first_of("; \t")) == "application/json") {
      const std::string claimed = claimed_operator(request);
      const std::string who = !answer.holder.empty() ? answer.holder + " at " : "";
      return who + format_host_port(asker(request)) + (claimed.empty() ? "" : ", who says to be " + claimed);
    }
    answer_text(response, 415, "the body must be application/json");
    return std::nullopt;
  }

  // Who guesses waits for each answer, as long as nobody else needs the thread.
  void hold_back() {
    const auto place = std::shared_ptr<void>(nullptr, [this](void*) { --held_back; });
    if (++held_back > kHeldBackMax) return;
    for (auto waited = 0ms; waited < kHoldBack && !stopping && !server.threads_are_wanted(); waited += kEventPoll)
      std::this_thread::sleep_for(kEventPoll);
  }

  static HostPort asker(const httplib::Request& request) {
    return {request.remote_addr, static_cast<std::uint16_t>(request.remote_port)};
  }

  // Which account the verbs were run from: what anybody may write there, but whoever writes it has a token.
  static std::string claimed_operator(const httplib::Request& request) {
    const std::string name = request.get_header_value(kOperatorHeader);
    constexpr std::size_t kNameLengthMax = 63;
    const auto is_fit = [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; };
    return name.size() <= kNameLengthMax && std::ranges::all_of(name, is_fit) ? name : "";
  }

  void give_order(OrderKind kind, const std::string& by, const httplib::Request& request, httplib::Response& response) {
    auto parsed = parse_order(kind, request.body);
    if (!parsed) return answer_text(response, 400, parsed.error().message);
    with_cluster(request, response, [&](const ClusterStatus& cluster) {
      OperatorOrder order = parsed->order;
      const bool is_meant = kind != OrderKind::kTeardown || parsed->preview || parsed->name == cluster.name;
      if (!is_meant) return answer_text(response, 400, "\"name\" must be the name of the cluster, once more");
      const auto knows = [&](const std::string& node) {
        return std::ranges::find(cluster.nodes, node, &NodeStatus::name) != cluster.nodes.end();
      };
      if (!order.node.empty() && !knows(order.node))
        return answer_text(response, 404, "cluster " + cluster.name + " has no node " + order.node);
      order.given_by = by;
      order.given_at = wall_now();
      const std::uint64_t newest_event = sources.events->newest_id();
      const auto answer = sources.give_order(cluster.name, order, parsed->preview);
      if (!answer) return answer_text(response, 503, "the control thread does not answer; nothing is ordered");
      std::string watch;
      if (answer->accepted && !parsed->preview)
        watch = "/api/v1/clusters/" + cluster.name + "/orders/" + std::to_string(answer->id);
      response.status = !answer->accepted ? 409 : parsed->preview ? 200 : 202;
      if (!watch.empty()) response.set_header("Location", watch);
      response.set_content(order_answer_json(*answer, watch, newest_event), "application/json");
    });
  }

  void restart(const std::string& by, const httplib::Request& request, httplib::Response& response) {
    const auto empty = RequestMembers().take(request.body);
    if (!empty) return answer_text(response, 400, empty.error().message);
    const auto begun = sources.restart ? sources.restart(by) : std::nullopt;
    if (!begun) return answer_text(response, 503, "the control thread does not answer; nothing is begun");
    response.status = *begun ? 202 : 409;
    if (*begun) response.set_header("Location", "/api/v1/process");
    response.set_content(restart_json(*begun), "application/json");
  }

  void lead(const std::string& by, const httplib::Request& request, httplib::Response& response) {
    const auto asked = parse_lead_request(request.body);
    if (!asked) return answer_text(response, 400, asked.error().message);
    const auto answer = sources.lead ? sources.lead(*asked, by) : std::nullopt;
    if (!answer) return answer_text(response, 503, "the control thread does not answer; nothing is ordered");
    response.status = answer->accepted ? 200 : 409;
    response.set_content(lead_answer_json(*answer), "application/json");
  }

  void reload(const std::string& by, const httplib::Request& request, httplib::Response& response) {
    const auto preview = parse_reload_preview(request.body);
    if (!preview) return answer_text(response, 400, preview.error().message);
    const auto answer = sources.reload("order from " + by, *preview);
    if (!answer) return answer_text(response, 503, "the control thread does not answer; nothing is reloaded");
    response.status = answer->accepted ? 200 : 409;
    response.set_content(reload_answer_json(*answer, *preview), "application/json");
  }

  void order(const httplib::Request& request, httplib::Response& response) {
    with_cluster(request, response, [&](const ClusterStatus& cluster) {
      for (const auto& order : cluster.orders) {
        if (std::to_string(order.id) == request.matches[2].str())
          return response.set_content(order_json(order), "application/json");
      }
      answer_text(response, 404, "no such order, or one that ended long ago; see the events");
    });
  }

  void decisions(const httplib::Request& request, httplib::Response& response) {
    with_cluster(request, response, [&](const ClusterStatus& cluster) {
      std::string json = "{\"decisions\": [";
      const char* separator = "\n";
      for (const auto& each : sources.decisions->newest(cluster.name, kDecisionsAtOnce)) {
        json += separator + each;
        separator = ",\n";
      }
      response.set_content(json + "\n]}\n", "application/json");
    });
  }

  void ready(httplib::Response& response) {
    with_clusters(response, [&](const std::vector<ClusterStatus>& clusters) {
      const auto routed = answer_balancer(BalancerQuestion::kPrimary, clusters, "", "");
      answer_text(response, routed.status, routed.status == 200 ? "ok" : routed.text);
    });
  }

  // ?after=ID: the events after this one; &wait_ms=N: where there is none yet, wait so long for one.
  void events(const httplib::Request& request, httplib::Response& response) {
    for (const char* name : {"after", "wait_ms", "clusters"}) {
      if (request.has_param(name) && !whole_number(request.get_param_value(name)))
        return answer_text(response, 400, std::string(name) + " must be a whole number, not negative");
    }
    if (request.get_header_value("Accept").find("text/event-stream") != std::string::npos)
      return stream_events(request, response);
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

  // ?clusters=1: also how the clusters are. A browser that was cut off tells the last event that it got.
  void stream_events(const httplib::Request& request, httplib::Response& response) {
    const auto place = std::shared_ptr<void>(nullptr, [this](void*) { --streams; });
    if (++streams > kStreamsMax) {
      response.set_header("Retry-After", "2");
      return answer_text(response, 503, "too many others read the stream of events");
    }
    const std::uint64_t newest = sources.events->newest_id();
    std::uint64_t after = number_parameter(request, "after", newest - std::min(newest, kEventsBefore));
    after = std::max(after, whole_number(request.get_header_value("Last-Event-ID")).value_or(0));
    std::function<std::optional<std::string>()> clusters;
    if (number_parameter(request, "clusters", 0) > 0) {
      clusters = [this]() -> std::optional<std::string> {
        const auto now = sources.clusters();
        return now ? std::optional(clusters_json(*now, sources.configuration())) : std::nullopt;
      };
    }
    const auto stream = std::make_shared<EventStream>(*sources.events, std::move(clusters), after);
    response.set_header("Cache-Control", "no-store");
    response.set_chunked_content_provider(
        "text/event-stream",
        [this, stream, place](std::size_t, httplib::DataSink& sink) { return send_next(*stream, sink); });
  }

  // False: the stream ends. Whoever reads it comes again, when there is a thread for it.
  bool send_next(EventStream& stream, httplib::DataSink& sink) {
    while (!stopping && !server.threads_are_wanted()) {
      const std::string text = stream.next(monotonic_now());
      if (!text.empty()) return sink.write(text.data(), text.size());
      std::this_thread::sleep_for(kEventPoll);
    }
    return false;
  }
};

std::unique_ptr<AdminServer> AdminServer::start(Socket listening, AdminSources sources) {
  auto inner = std::make_unique<Inner>(std::move(sources));
  inner->server.set_payload_max_length(kRequestBytesMax);
  inner->check_host();
  inner->add_routes();
  inner->port = listening.bound_port();
  const auto socket = std::make_shared<Socket>(std::move(listening));
  inner->thread = std::thread([server = &inner->server, socket] { server->serve(std::move(*socket)); });
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(inner)));
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(const HostPort& listen, AdminSources sources) {
  auto socket = HttpServer::listen_at("[admin] listen", listen);
  if (!socket) return socket.error();
  return start(std::move(*socket), std::move(sources));
}

AdminServer::AdminServer(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}

AdminServer::~AdminServer() {
  inner_->stopping = true;
  inner_->server.stop_serving();
  inner_->thread.join();
}

void AdminServer::use(std::shared_ptr<const TlsAcceptor> tls) {
  inner_->server.use(std::move(tls));
}

const std::vector<std::string>& AdminServer::routes() const {
  return inner_->routes;
}

std::uint16_t AdminServer::port() const {
  return inner_->port;
}

}  // namespace pgkeel
