#include "proxy/cli/demo.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <iostream>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/cli/admin_client.h"
#include "proxy/cli/demo_clients.h"
#include "proxy/cli/demo_servers.h"
#include "proxy/cli/exit_status.h"
#include "proxy/io/blocking_sql.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

std::atomic<bool> g_interrupted{false};

void say(const std::string& line) {
  std::cout << line << std::endl;
}

// Prints one line of the timeline, in milliseconds since the kill.
void say_at(WallTime killed_at, WallTime when, std::string_view what, std::string_view text) {
  say(fmt::format("{:>8} ms  {:<10} {}", to_milliseconds(when - killed_at), what, text));
}

// Prints pgkeel's own events as they happen.
class DemoTimeline {
 public:
  DemoTimeline(const Config& config, WallTime killed_at, std::uint64_t after)
      : config_(config), killed_at_(killed_at), last_id_(after) {}

  // Reads what happened since the last call; waits a little where nothing did.
  void read() {
    const auto answer = ask_admin(config_, "/api/v1/events?wait_ms=50&after=" + std::to_string(last_id_));
    if (!answer) return;
    const Json document = Json::parse(*answer, nullptr, false);
    if (!document.is_object() || !document.contains("events")) return;
    for (const auto& event : document["events"]) print(event);
  }

  [[nodiscard]] bool saw_route() const { return saw_route_; }

 private:
  void print(const Json& event) {
    last_id_ = event.value("id", last_id_);
    const WallTime when(std::chrono::milliseconds(event.value("when_ms", std::int64_t{0})));
    const std::string kind = event.value("kind", "");
    const std::string text = event.value("text", "");
    const char* what = nullptr;
    if (kind == "evidence") what = "evidence";
    if (kind == "transition")
      what = text.starts_with("fencing") ? "decision" : text.starts_with("promoting") ? "candidate" : "promotion";
    if (kind == "action" && (text.starts_with("fence ") || text.starts_with("promote ")))
      what = text.starts_with("fence") ? "fence" : "promotion";
    if (kind == "action" && text.starts_with("rejoin ")) what = "rejoin";
    if (kind == "progress") what = "rejoin";
    if (kind == "route") what = "route";
    if (kind == "route" && text.find("leads to") != std::string::npos) saw_route_ = true;
    if (what != nullptr) say_at(killed_at_, when, what, text);
  }

  const Config& config_;
  WallTime killed_at_;
  std::uint64_t last_id_;
  bool saw_route_ = false;
};

std::uint64_t newest_event(const Config& config) {
  std::uint64_t newest = 0;
  const auto answer = ask_admin(config, "/api/v1/events");
  const Json document = answer ? Json::parse(*answer, nullptr, false) : Json();
  if (document.is_object() && document.contains("events")) {
    for (const auto& event : document["events"]) newest = event.value("id", newest);
  }
  return newest;
}

template <class Condition>
bool wait_until(Condition condition, Duration limit, const std::function<void()>& meanwhile) {
  const Instant deadline = monotonic_now() + limit;
  while (!condition()) {
    if (g_interrupted || monotonic_now() > deadline) return false;
    meanwhile();
  }
  return true;
}

void pause_shortly() {
  std::this_thread::sleep_for(5ms);
}

bool cluster_is_normal(const Config& config) {
  const auto answer = ask_admin(config, "/api/v1/clusters/demo");
  const Json document = answer ? Json::parse(*answer, nullptr, false) : Json();
  return document.is_object() && document.value("condition", "") == "normal" && document.value("route", "") == "b";
}

// Acknowledged rows that the present primary does not have.
std::optional<std::size_t> count_lost(const DemoServers& servers, const std::vector<std::uint64_t>& acknowledged) {
  auto connection = BlockingSql::connect(servers.conninfo("checker"));
  if (!connection) return std::nullopt;
  const auto rows = connection->run("SELECT id FROM demo");
  if (!rows) return std::nullopt;
  std::set<std::uint64_t> present;
  for (const auto& row : rows->rows) present.insert(std::stoull(row.front().value_or("0")));
  std::size_t lost = 0;
  for (const auto number : acknowledged) lost += present.contains(number) ? 0 : 1;
  return lost;
}

bool create_table(const DemoServers& servers) {
  auto connection = BlockingSql::connect(servers.conninfo("setup"));
  return connection &&
         connection->run("CREATE TABLE demo (id bigint PRIMARY KEY, written_at timestamptz DEFAULT clock_timestamp())");
}

int show_failover(const DemoServers& servers) {
  const Config& config = servers.config();
  if (!create_table(servers)) return fail("no table can be created through the access point");
  DemoWriter writer(servers.conninfo("writer"));
  using State = DemoBystander::State;
  DemoBystander idle(servers.conninfo("idle"), State::kIdle);
  DemoBystander in_transaction(servers.conninfo("in_transaction"), State::kInTransaction);
  DemoBystander waiting(servers.conninfo("waiting"), State::kWaitingForResult);
  const auto warmed_up = [&] {
    return writer.progress().acknowledged >= 200 && idle.ready() && in_transaction.ready() && waiting.ready();
  };
  if (!wait_until(warmed_up, 30s, pause_shortly)) return fail("the clients could not work: " + writer.progress().error);
  say(fmt::format("writer       one row a transaction through the access point: {} acknowledged so far\n",
                  writer.progress().acknowledged));

  const std::uint64_t last_event_before = newest_event(config);
  const auto kill = servers.kill_primary_tree();
  const WallTime killed_at = kill.at.wall;
  DemoTimeline timeline(config, killed_at, last_event_before);
  say_at(killed_at, killed_at, "kill -9",
         fmt::format("the postmaster of a and its {} children", kill.processes > 0 ? kill.processes - 1 : 0));
  auto connecting =
      std::async(std::launch::async, [&] { return connect_during_outage(servers.conninfo("connecting")); });

  const auto writes_again = [&] { return writer.progress().first_after_error.has_value() && timeline.saw_route(); };
  if (!wait_until(writes_again, 60s, [&] { timeline.read(); }))
    return fail("no write succeeded within 60 s after the crash: " + writer.progress().error);
  const auto after = writer.progress();
  const Duration first_write = *after.first_after_error - kill.at.instant;
  say_at(killed_at, killed_at + first_write, "first write", "acknowledged by b, through the same address");
  const bool rejoined = wait_until([&] { return cluster_is_normal(config); }, 120s, [&] { timeline.read(); });
  timeline.read();
  if (rejoined) say_at(killed_at, wall_now(), "redundant", "a streams from b; the cluster is normal");
  writer.stop();

  say("\nwhat the clients saw:");
  std::vector<ClientReport> reports = {idle.finish(), in_transaction.finish(), waiting.finish(), connecting.get()};
  reports.insert(reports.begin(), {"writer", after.error, after.error.starts_with("57P01")});
  bool all_as_promised = after.failed_connects == 0;
  for (const auto& report : reports) {
    say(fmt::format("  {:<21} {}{}", report.state, report.as_promised ? "" : "UNEXPECTED: ", report.outcome));
    all_as_promised = all_as_promised && report.as_promised;
  }
  const auto acknowledged = writer.acknowledged();
  const auto lost = count_lost(servers, acknowledged);
  say(
      fmt::format("\ngap                      {} ms between the last acknowledged write before the crash and the first "
                  "one after it",
                  to_milliseconds(*after.first_after_error - *after.last_before_error)));
  say(fmt::format("acknowledged rows        {}, lost: {}", acknowledged.size(),
                  lost ? std::to_string(*lost) : "unknown"));
  say(fmt::format("refused connects         {}", after.failed_connects));
  say(fmt::format("old primary              {}",
                  rejoined ? "a standby of b, streaming" : "NOT back as a standby within 120 s"));
  return rejoined && all_as_promised && lost && *lost == 0 ? kExitDone : kExitRefused;
}

void keep_running(const DemoServers& servers) {
  say("\nEverything is left running. Try:");
  say("  " + fmt::format("PGPASSWORD={} psql \"{}\"", servers.password(), [&] {
        const std::string conninfo = servers.conninfo("psql");
        const auto begin = conninfo.find(" password=");
        const auto end = conninfo.find(" application_name=");
        return conninfo.substr(0, begin) + conninfo.substr(end);
      }()));
  // Where it was built nothing named pgkeel need be in the PATH.
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const char* arguments : {"status", "events --follow", "decisions demo", "lost demo", "switchover demo"}) {
    say(fmt::format("  {} {} --config {}", program, arguments, servers.config_file()));
  }
  say("Ctrl-C removes it all.");
  while (!g_interrupted) std::this_thread::sleep_for(100ms);
}

}  // namespace

int run_demo(const DemoOptions& options) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, [](int) { g_interrupted = true; });
  std::signal(SIGPIPE, SIG_IGN);
  say("pgkeel demo: setting up a primary, a standby and a pgkeel in front of them");
  auto servers = DemoServers::start(options.port);
  if (!servers) return fail(servers.error().message);
  const DemoServers& running = **servers;
  say(fmt::format("servers      PostgreSQL {}: primary a on port {}, streaming standby b on port {}, synchronous",
                  running.server_version(), running.port_of("a"), running.port_of("b")));
  say(fmt::format("access point {}", format_host_port(running.access_point())));
  const int status = g_interrupted ? kExitRefused : show_failover(running);
  if (options.keep && !g_interrupted) keep_running(running);
  return status;
}

}  // namespace pgkeel
