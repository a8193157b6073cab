// The web console, and the stream of server-sent events that it lives on.
#include <atomic>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <httplib.h>

#include "proxy/admin/admin_server.h"
#include "proxy/admin/embedded.h"
#include "proxy/admin/event_stream.h"
#include "proxy/io/clock.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Log {
  Log() {
    auto opened = EventLog::open(folder.path());
    REQUIRE(opened);
    events = std::move(*opened);
  }
  void happen(const std::string& text) const {
    Event event;
    event.cluster = "orders";
    event.text = text;
    events->record(event);
  }

  TemporaryFolder folder;
  std::unique_ptr<EventLog> events;
};

struct Endpoint : Log {
  Endpoint() {
    AdminSources sources;
    sources.clusters = [] {
      ClusterStatus cluster;
      cluster.name = "orders";
      cluster.condition = "normal";
      return std::vector{cluster};
    };
    sources.events = events.get();
    auto started = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
    REQUIRE(started);
    server = std::move(*started);
  }
  std::unique_ptr<AdminServer> server;
};

// Reads the stream until it has `wanted` in it, `happen` being called when the first bytes are there.
std::string read_stream(
    const Endpoint& endpoint, const std::string& path, const httplib::Headers& more, const std::string& wanted,
    const std::function<void()>& happen = [] {}) {
  httplib::Client client("127.0.0.1", endpoint.server->port());
  client.set_read_timeout(10s);
  httplib::Headers headers = more;
  headers.emplace("Accept", "text/event-stream");
  std::string text;
  client.Get(path, headers, [&](const char* bytes, std::size_t size) {
    if (text.empty()) happen();
    text.append(bytes, size);
    return text.find(wanted) == std::string::npos;
  });
  CHECK(text.find(wanted) != std::string::npos);
  return text;
}

}  // namespace

TEST_CASE("a message has each of its lines behind a name") {
  CHECK(server_sent_event("event", 7, "{}") == "id: 7\nevent: event\ndata: {}\n\n");
  CHECK(server_sent_event("clusters", 0, "{\n  \"a\": 1\n}\n") ==
        "event: clusters\ndata: {\ndata:   \"a\": 1\ndata: }\n\n");
  CHECK(server_sent_event("clusters", 0, "") == "event: clusters\ndata: \n\n");
}

TEST_CASE("a stream tells what happened once, and the clusters once a second and behind each event") {
  const Log log;
  log.happen("before");
  log.happen("first");
  int asked = 0;
  EventStream stream(
      *log.events, [&] { return std::optional("{" + std::to_string(++asked) + "}"); }, 1);
  Instant now = monotonic_now();
  const std::string begin = stream.next(now);
  CHECK(begin.find("before") == std::string::npos);
  CHECK(begin.find("first") != std::string::npos);
  CHECK(begin.find("data: {1}") != std::string::npos);
  CHECK(stream.next(now + 900ms).empty());
  CHECK(stream.next(now + 1s) == "event: clusters\ndata: {2}\n\n");
  log.happen("second");
  const std::string second = stream.next(now + 1100ms);
  CHECK(second.find("first") == std::string::npos);
  CHECK(second.find("second") != std::string::npos);
  CHECK(second.find("data: {3}") != std::string::npos);
}

TEST_CASE("a stream in which nothing happens shows that it lives") {
  const Log log;
  EventStream stream(*log.events, nullptr, 0);
  const Instant now = monotonic_now();
  CHECK(stream.next(now) == "retry: 1000\n\n");
  CHECK(stream.next(now + 9s).empty());
  CHECK(stream.next(now + 10s) == ":\n\n");
  CHECK(stream.next(now + 11s).empty());
}

TEST_CASE("events reach who listens as they happen, and who comes again gets what it missed") {
  const Endpoint endpoint;
  endpoint.happen("one");
  const auto text = read_stream(endpoint, "/api/v1/events?clusters=1", {}, "two", [&] { endpoint.happen("two"); });
  CHECK(text.find("one") != std::string::npos);
  CHECK(text.find("\"condition\": \"normal\"") != std::string::npos);
  endpoint.happen("three");
  const auto again = read_stream(endpoint, "/api/v1/events", {{"Last-Event-ID", "2"}}, "three");
  CHECK(again.find("two") == std::string::npos);
}

TEST_CASE("streams do not take the threads from the rest") {
  const Endpoint endpoint;
  std::atomic<bool> over{false};
  std::atomic<int> open{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> listeners;
  for (int i = 0; i < 10; ++i) {
    // As a browser does: whose stream is refused, or ends to make room for others, comes again.
    listeners.emplace_back([&] {
      httplib::Client client("127.0.0.1", endpoint.server->port());
      while (!over) {
        bool begun = false;
        client.Get(
            "/api/v1/events?clusters=1", {{"Accept", "text/event-stream"}},
            [&](const httplib::Response& response) {
              if (response.status == 503) ++refused;
              return response.status == 200;
            },
            [&](const char*, std::size_t) {
              if (!std::exchange(begun, true)) ++open;
              return !over;
            });
        if (begun) --open;
        if (!begun) std::this_thread::sleep_for(10ms);
      }
    });
  }
  CHECK(wait_until([&] { return open == 8 && refused >= 2; }));
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const auto answer = client.Get("/api/v1/clusters");
  over = true;
  for (auto& listener : listeners) listener.join();
  REQUIRE(answer);
  CHECK(answer->status == 200);
}

TEST_CASE("the console comes from the binary and may load nothing from elsewhere") {
  const Endpoint endpoint;
  httplib::Client client("127.0.0.1", endpoint.server->port());
  for (const auto& [path, text] :
       {std::pair{"/", &console_html()}, {"/console.css", &console_css()}, {"/console.js", &console_js()}}) {
    CAPTURE(path);
    const auto answer = client.Get(path);
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == *text);
    CHECK(answer->get_header_value("Content-Security-Policy").starts_with("default-src 'none'; script-src 'self'"));
    CHECK(answer->body.find("://") == std::string::npos);
  }
}
