// Servers `a` and `b` as in ServerPair, an agent of `a` as a process of its own, and calls to it over HTTPS. One
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/https_client.h"
#include "replication/agent/agent_protocol.h"
#include "replication/execute/agent_client.h"
#include "tests/support/agent_process.h"
#include "tests/unit/agent/agent_fixture.h"

namespace pgkeel::test {

constexpr Duration kCallLimit = 30s;

struct AgentOfA {
  explicit AgentOfA(const std::vector<std::string>& lines = {})
      : certificates(pair.folder), agent(pair.folder, *pair.a, certificates, lines) {
    agent.start();
  }

  [[nodiscard]] AgentClient client() const {
    return {"a",
            {"127.0.0.1", pair.a->port()},
            std::make_shared<AgentConnections>(agent.access()),
            std::make_shared<AgentSilence>("")};
  }

  [[nodiscard]] JobRequest request(JobKind kind, const std::string& id) const {
    JobRequest request;
    request.id = id;
    request.kind = kind;
    request.node = "a";
    request.address = {"127.0.0.1", pair.a->port()};
    request.limit = 30s;
    return request;
  }

  [[nodiscard]] JobRequest rejoin(const PostgresServer& primary, const std::string& id) const {
    auto order = request(JobKind::kRejoin, id);
    order.upstream = ServerPair::upstream(primary);
    return order;
  }

  // The job's record when it has ended.
  [[nodiscard]] JobRecord end_of(const std::string& id) const {
    HttpsClient http(agent.peer());
    while (true) {
      const auto answer = http.get("/agent/v1/jobs/" + id + "?after=100000&wait_ms=1000", kCallLimit);
      REQUIRE_MESSAGE(answer, answer.error().message);
      REQUIRE_MESSAGE(answer->status == 200, answer->body);
      auto record = parse_job_record(answer->body);
      REQUIRE_MESSAGE(record, record.error().message);
      if (record->state != JobState::kRunning) return *record;
    }
  }

  // Orders the rejoin of `a` from `b`, holds `b` still once the agent says `line`, and kills the agent then.
  void kill_agent_in_rejoin(const std::string& line) {
    const auto order = rejoin(*pair.b, "cut-off");
    HttpsClient http(agent.peer());
    REQUIRE(http.post("/agent/v1/jobs", to_json(order), kCallLimit)->status == 202);
    REQUIRE_MESSAGE(wait_until([&] { return agent.log_text().find(line) != std::string::npos; }), agent.log_text());
    pair.b->freeze_tree();
    agent.kill();
    pair.b->thaw_tree();
    agent.start();
    const auto record = end_of("cut-off");
    CHECK(record.state == JobState::kInterrupted);
  }

  ServerPair pair;
  Certificates certificates;
  AgentProcess agent;
};

// The status, or why there is none.
inline std::string told(const Result<HttpsAnswer>& answer) {
  return answer ? std::to_string(answer->status) : answer.error().message;
}

}  // namespace pgkeel::test
