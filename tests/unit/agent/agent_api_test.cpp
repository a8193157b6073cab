// The agent as a process of its own, called over HTTPS: what it does, and what becomes of a job whose caller or agent
// is killed.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "proxy/io/clock.h"
#include "tests/unit/agent/agent_of_a.h"
#include "tests/unit/agent/rejoin_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a server is looked at, stopped, started, restarted and fenced through its agent") {
  const AgentOfA setup;
  const auto client = setup.client();
  const auto facts = client.facts();
  REQUIRE_MESSAGE(facts, facts.error().message);
  CHECK(facts->postmaster_pid == setup.pair.a->processes().front());
  CHECK(facts->control->cluster_state == "in production");
  CHECK(facts->control->system_identifier == setup.pair.a->value("SELECT system_identifier FROM pg_control_system()"));
  CHECK(setup.pair.a->value("SHOW server_version").starts_with(facts->host.postgres_version));
  CHECK_FALSE(facts->host.postgres_version.empty());
  CHECK_FALSE(facts->pgkeel_version.empty());
  CHECK(facts->host.disks.at(0).free_bytes > 0);
  CHECK(facts->host.disks[0].holds == "data directory");
  CHECK(facts->host.disks[0].total_bytes >= facts->host.disks[0].free_bytes);
  CHECK(facts->host.memory_total_bytes > facts->host.memory_available_bytes);
  CHECK(facts->clock > wall_now() - 60s);
  CHECK_FALSE(client.examine()->proven_stopped);

  REQUIRE(client.stop(StopMode::kFast, 60s));
  CHECK_FALSE(setup.pair.a->is_running());
  auto examined = client.examine();
  REQUIRE(examined);
  CHECK(examined->proven_stopped);
  CHECK(examined->shut_down_cleanly);
  const auto left_alone = client.start_after_crash(60s);
  CHECK_FALSE(left_alone);
  CHECK(left_alone.error().message.find("shut down cleanly") != std::string::npos);

  REQUIRE(client.start(60s));
  CHECK(setup.pair.a->is_primary());
  const auto before = setup.pair.a->processes().front();
  REQUIRE(client.restart(StopMode::kImmediate, 60s));
  CHECK(setup.pair.a->processes().front() != before);

  setup.pair.a->freeze_tree();  // no order reaches it; a fence does all the same
  REQUIRE(client.fence(30s));
  CHECK(setup.pair.a->processes().empty());
  examined = client.examine();
  REQUIRE(examined);
  CHECK_FALSE(examined->shut_down_cleanly);
  CHECK(examined->end_of_wal.valid());
  const auto started = client.start_after_crash(60s);
  REQUIRE_MESSAGE(started, started.error().message);
  CHECK(*started == "started after a crash");
}

TEST_CASE(
    "a job is ordered once under its id, whoever waits for it, and its outcome is kept for a caller that was lost") {
  const AgentOfA setup;
  {
    HttpsClient lost(setup.agent.peer());
    const std::string order = to_json(setup.request(JobKind::kStop, "once"));
    CHECK(lost.post("/agent/v1/jobs", order, kCallLimit)->status == 202);
    CHECK(lost.post("/agent/v1/jobs", order, kCallLimit)->status == 202);
  }
  CHECK(setup.end_of("once").state == JobState::kDone);
  HttpsClient http(setup.agent.peer());
  CHECK(http.post("/agent/v1/jobs", to_json(setup.request(JobKind::kStop, "once")), kCallLimit)->status == 202);
  CHECK(setup.end_of("once").message == "stopped: no process of it is left");
  CHECK(http.get("/agent/v1/jobs/never", kCallLimit)->status == 404);
}

TEST_CASE("what an older leader sends late is refused by the agent, and says why") {
  AgentOfA setup;
  const auto older = setup.client().in_term(41);
  const auto newer = setup.client().in_term(97);
  CHECK(older->stop(StopMode::kFast, 30s));
  CHECK(newer->examine());
  // It was frozen between its look at its lease and this call.
  const auto late = older->start(30s);
  REQUIRE_FALSE(late);
  CHECK(late.error().message.find("an order of term 41, and a pgkeel that leads in term 97 has given orders here") !=
        std::string::npos);
  CHECK(newer->facts()->nothing_runs);
  CHECK(newer->start(30s));
}

TEST_CASE("a diverged primary is rejoined through its agent, which tells its progress") {
  AgentOfA setup;
  setup.pair.diverge();
  std::vector<std::string> lines;
  const auto report = setup.client().make_standby({ServerPair::upstream(*setup.pair.b)},
                                                  [&](const std::string& line) { lines.push_back(line); });
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(std::filesystem::exists(report->quarantine + "/report.json"));
  CHECK(lines.size() > 2);
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("an empty host is provisioned, and one that holds a server is not") {
  AgentOfA setup;
  setup.pair.a->stop();
  ServerPair::promote(*setup.pair.b, "a");
  const auto refused = setup.client().provision(ServerPair::upstream(*setup.pair.b), [](const std::string&) {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("holds a server already") != std::string::npos);
  std::filesystem::rename(setup.pair.a->data_directory(), setup.pair.a->data_directory() + ".elsewhere");
  std::string lines;
  const auto report = setup.client().provision(ServerPair::upstream(*setup.pair.b),
                                               [&](const std::string& line) { lines += line + "\n"; });
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(lines.find("copying b: 100 %\n") != std::string::npos);
  CHECK(report->method == "basebackup");
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("a provision whose agent was killed is begun again, also where it had filled the data directory already") {
  AgentOfA setup;
  setup.pair.a->stop();
  ServerPair::promote(*setup.pair.b, "a");
  const auto data = setup.pair.a->data_directory();
  std::filesystem::remove_all(data);
  const auto nobody = [](const std::string&) {};
  REQUIRE(setup.client().provision(ServerPair::upstream(*setup.pair.b), nobody));
  CHECK_FALSE(std::filesystem::exists(data + ".pgkeel-provision"));
  // As an agent leaves it that is killed between the start of the server and the end of its job …
  std::ofstream(data + ".pgkeel-provision") << "\n";
  const auto postmaster = setup.pair.a->processes().front();
  REQUIRE(setup.client().provision(ServerPair::upstream(*setup.pair.b), nobody));
  CHECK(setup.pair.a->processes().front() == postmaster);
  CHECK_FALSE(std::filesystem::exists(data + ".pgkeel-provision"));
  // … and before that start.
  setup.pair.a->stop();
  std::ofstream(data + ".pgkeel-provision") << "\n";
  CHECK_FALSE(setup.client().provision(ServerPair::upstream(*setup.pair.b), nobody));
  CHECK_FALSE(setup.pair.a->is_running());
  std::filesystem::remove(data + "/postmaster.opts");
  REQUIRE(setup.client().provision(ServerPair::upstream(*setup.pair.b), nobody));
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("the password of the replication user reaches the standby through the agent, and no record keeps it") {
  AgentOfA setup;
  setup.pair.a->query("ALTER USER pgkeel_repl PASSWORD 'hush-hush'");
  REQUIRE(setup.pair.a->wait_caught_up("b"));
  const std::string file = setup.pair.folder.path() + "/replication.password";
  std::ofstream(file) << "hush-hush\n";
  setup.pair.a->kill_tree();
  ServerPair::promote(*setup.pair.b, "a");
  auto upstream = ServerPair::upstream(*setup.pair.b);
  upstream.replication.password_file = file;
  const auto report = setup.client().make_standby({upstream}, [](const std::string&) {});
  REQUIRE_MESSAGE(report, report.error().message);
  std::ifstream kept(setup.pair.a->data_directory() + "/pgkeel.pgpass");
  const std::string text{std::istreambuf_iterator<char>(kept), {}};
  CHECK(text.find("hush-hush") != std::string::npos);
  std::ifstream records(setup.agent.state_directory() + "/jobs.json");
  const std::string recorded{std::istreambuf_iterator<char>(records), {}};
  CHECK(recorded.find("rejoin") != std::string::npos);
  CHECK(recorded.find("hush-hush") == std::string::npos);
  CHECK(setup.agent.log_text().find("hush-hush") == std::string::npos);
}

TEST_CASE("an agent that is killed in the middle of pg_basebackup gives the rejoin up, and the next one ends well") {
  AgentOfA setup;
  setup.pair.b->query("SELECT pg_promote(true)");
  ServerPair::prepare_upstream(*setup.pair.b, "a");
  setup.pair.a->kill_tree();
  std::filesystem::rename(setup.pair.a->data_directory(), setup.pair.a->data_directory() + ".elsewhere");
  setup.kill_agent_in_rejoin("copying b");
  CHECK_FALSE(setup.pair.a->is_running());
  const auto started = setup.client().start(10s);
  CHECK_FALSE(started);
  const auto report = setup.client().make_standby({ServerPair::upstream(*setup.pair.b)}, [](const std::string&) {});
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
  for (const auto& entry : std::filesystem::directory_iterator(setup.pair.folder.path()))
    CHECK(entry.path().string().find(".new-") == std::string::npos);
}

TEST_CASE(
    "an agent that is killed in the middle of pg_rewind never starts what it left, and the next rejoin ends well") {
  AgentOfA setup;
  setup.pair.diverge();
  setup.kill_agent_in_rejoin("rewinding it to where b took over");
  const auto facts = setup.client().facts();
  REQUIRE(facts);
  CHECK(facts->rejoin_cut_off);
  const auto started = setup.client().start(10s);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("half changed by a rejoin that was cut off") != std::string::npos);
  const auto report = setup.client().make_standby({ServerPair::upstream(*setup.pair.b)}, [](const std::string&) {});
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(has_all_rows_of_a(report->quarantine + "/data"));
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("a fence does not wait for a rejoin that hangs: whoever ordered that, it is broken off") {
  AgentOfA setup;
  setup.pair.diverge();
  const auto upstream = ServerPair::upstream(*setup.pair.b);
  const auto order = setup.rejoin(*setup.pair.b, "hangs");
  setup.pair.b->freeze_tree();
  HttpsClient http(setup.agent.peer());  // of an earlier pgkeel, which is gone
  REQUIRE(http.post("/agent/v1/jobs", to_json(order), kCallLimit)->status == 202);
  const auto client = setup.client();
  const Instant began = monotonic_now();
  const auto fenced = client.fence(20s);
  REQUIRE_MESSAGE(fenced, fenced.error().message);
  CHECK(monotonic_now() - began < 15s);
  CHECK(setup.end_of("hangs").state == JobState::kFailed);

  // And one that this pgkeel ordered itself, and wants to end.
  std::stop_source rejoin;
  std::jthread breaker([&] {
    CHECK(wait_until([&] {
      const auto running = parse_agent_report(http.get("/agent/v1/watch", kCallLimit)->body);
      return running && running->job == "rejoin of a";
    }));
    rejoin.request_stop();
  });
  const auto broken_off = client.breakable(rejoin.get_token())->make_standby({upstream}, [](const std::string&) {});
  breaker.join();
  CHECK_FALSE(broken_off);
  REQUIRE(client.fence(20s));

  setup.pair.b->thaw_tree();
  const auto report = client.make_standby({upstream}, [](const std::string&) {});
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("an agent that is told to end leaves PostgreSQL alone, and its job is recorded as interrupted") {
  AgentOfA setup;
  setup.pair.diverge();
  HttpsClient http(setup.agent.peer());
  auto order = setup.rejoin(*setup.pair.b, "given-up");
  setup.pair.b->freeze_tree();
  REQUIRE(http.post("/agent/v1/jobs", to_json(order), kCallLimit)->status == 202);
  setup.agent.terminate();
  setup.pair.b->thaw_tree();
  setup.agent.start();
  const auto record = setup.end_of("given-up");
  CHECK(record.state == JobState::kInterrupted);
  CHECK(record.message.find("the agent ended while this ran") != std::string::npos);
  REQUIRE(setup.client().make_standby({ServerPair::upstream(*setup.pair.b)}, [](const std::string&) {}));
  setup.agent.terminate();
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}

TEST_CASE("the end of a postmaster is told in the moment in which it happens, and its start soon") {
  AgentOfA setup;
  HttpsClient http(setup.agent.peer());
  const auto watch = [&](const AgentReport& known) {
    const auto answer = http.get(
        "/agent/v1/watch?wait_ms=20000&instance=" + known.instance + "&after=" + std::to_string(known.sequence),
        kCallLimit);
    REQUIRE_MESSAGE(answer, answer.error().message);
    return parse_agent_report(answer->body).value();
  };
  auto report = watch({});
  while (!report.postmaster || !report.postmaster->port) report = watch(report);
  CHECK(report.postmaster->pid == setup.pair.a->processes().front());
  CHECK(report.postmaster->port == setup.pair.a->port());

  Instant killed_at;
  std::thread killer([&] {
    std::this_thread::sleep_for(300ms);  // the call waits by then
    killed_at = monotonic_now();
    setup.pair.a->kill_tree();
  });
  const auto after = watch(report);
  const Instant told_at = monotonic_now();
  killer.join();
  CHECK_FALSE(after.postmaster);
  REQUIRE(after.postmaster_ended);
  CHECK(*after.postmaster_ended <= after.clock);
  MESSAGE("told after " << std::chrono::duration<double, std::milli>(told_at - killed_at).count() << " ms");
  CHECK(told_at - killed_at < 1s);

  setup.pair.a->start();
  auto again = watch(after);
  while (!again.postmaster) again = watch(again);
  CHECK(again.postmaster->pid == setup.pair.a->processes().front());
}

TEST_CASE("a primary whose agent hears no pgkeel for fence_timeout is stopped, and the next pgkeel is told") {
  AgentOfA setup({"fence_timeout = \"2s\""});
  HttpsClient http(setup.agent.peer());
  const auto heard = [&](const std::string& more) {
    const auto answer = http.get("/agent/v1/watch?x=1" + more, kCallLimit);
    REQUIRE_MESSAGE(answer, answer.error().message);
    return parse_agent_report(answer->body).value();
  };
  const Instant until = monotonic_now() + 4s;
  while (monotonic_now() < until) {  // heard, it is left alone
    CHECK(heard("").notices.empty());
    std::this_thread::sleep_for(100ms);
  }
  CHECK(setup.pair.a->is_primary());
  const Instant unheard_since = monotonic_now();
  REQUIRE(wait_until(
      [&] {
        heard("&looks_only=1");  // by a pgkeel that could not stop it
        return !setup.pair.a->is_running();
      },
      20s));
  CHECK(monotonic_now() - unheard_since >= 1500ms);
  try {
    setup.pair.a->start();  // by hand: it is a primary, and still nobody is heard
  } catch (const std::exception&) {
    // It was stopped before it was up.
  }
  REQUIRE(wait_until([&] { return !setup.pair.a->is_running(); }, 20s));
  REQUIRE(wait_until([&] { return setup.agent.log_text().find("no pgkeel was heard for 2s") != std::string::npos; }));
  const auto report = heard("");
  REQUIRE(report.notices.size() == 1);
  CHECK(report.notices.front().text.find("it was stopped, and no process of it is left") != std::string::npos);
  CHECK(heard("&heard=" + std::to_string(report.notices.front().number)).notices.empty());

  // One that is down is left alone, whatever a crash has left behind.
  const auto fences = [&] {
    std::size_t count = 0;
    const std::string log = setup.agent.log_text();
    for (auto at = log.find("fence of"); at != std::string::npos; at = log.find("fence of", at + 1)) ++count;
    return count;
  };
  const std::size_t fences_before = fences();
  const std::string folder = setup.pair.a->data_directory();
  std::ofstream(folder + "/postmaster.pid") << "4194304\n"
                                            << folder << "\n1700000000\n"
                                            << setup.pair.a->port() << "\n";
  std::this_thread::sleep_for(3500ms);
  CHECK(fences() == fences_before);
}
