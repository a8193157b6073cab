#include "health/agent_evidence.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t kPort = 5432;

Instant at(Duration since) {
  return Instant(100s + since);
}

Observation answer(Instant when, Duration uptime) {
  Observation observation;
  observation.started_at = when;
  observation.finished_at = when;
  observation.outcome = ProbeOutcome::kAnswered;
  NodeFacts facts;
  facts.uptime = uptime;
  observation.facts = std::make_shared<const NodeFacts>(std::move(facts));
  return observation;
}

AgentWord runs(Instant when, std::int32_t pid, Duration uptime, std::uint16_t port = kPort) {
  return {when, AgentWord::Postmaster{pid, 1000 + pid, port, uptime}, std::nullopt};
}

AgentWord nothing_runs(Instant when, std::optional<Instant> ended_at = std::nullopt) {
  return {when, std::nullopt, ended_at};
}

}  // namespace

TEST_CASE("the death of a postmaster that was known as the node's is told once, with its own time") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(runs(at(0s), 7, 60s)));
  evidence.answered(answer(at(100ms), 60s));
  const auto death = evidence.reported(nothing_runs(at(2s), at(1999ms)));
  REQUIRE(death);
  CHECK(death->when == at(1999ms));
  CHECK(death->detail == "the agent says: postmaster 7 has ended");
  CHECK_FALSE(evidence.reported(nothing_runs(at(3s), at(1999ms))));
}

TEST_CASE("no postmaster is no death where none was known: the agent may look at another directory") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(nothing_runs(at(0s), at(-1s))));
  CHECK_FALSE(evidence.reported(runs(at(1s), 7, 60s)));
  CHECK_FALSE(evidence.reported(nothing_runs(at(2s))));
}

TEST_CASE("another agent that finds no postmaster says the same of one that was known") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(runs(at(0s), 7, 60s)));
  evidence.answered(answer(at(0s), 60s));
  const auto death = evidence.reported(nothing_runs(at(9s)));
  REQUIRE(death);
  CHECK(death->when == at(9s));
}

TEST_CASE("a postmaster that runs in place of the one that was known is no death") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(runs(at(0s), 7, 60s)));
  evidence.answered(answer(at(0s), 60s));
  CHECK_FALSE(evidence.reported(runs(at(1s), 8, 0s)));
  CHECK_FALSE(evidence.reported(nothing_runs(at(2s))));  // 8 has not answered yet
}

TEST_CASE("an agent of another server is doubted, and its word no evidence") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(runs(at(0s), 7, 60s, 5433)));
  CHECK(evidence.doubt() == "its agent handles the server on port 5433, not this one");
  evidence.answered(answer(at(0s), 60s));
  CHECK_FALSE(evidence.reported(nothing_runs(at(1s))));

  AgentEvidence other(kPort);
  CHECK_FALSE(other.reported(runs(at(0s), 7, 60s)));
  other.answered(answer(at(0s), 600s));
  CHECK(other.doubt().empty());
  CHECK_FALSE(other.reported(runs(at(3s), 7, 63s)));
  other.answered(answer(at(3s), 603s));
  CHECK(other.doubt() == "its agent handles a server that was not started when the one that answers was");
  CHECK_FALSE(other.reported(nothing_runs(at(4s))));
  CHECK_FALSE(other.reported(runs(at(5s), 9, 5s)));
  other.answered(answer(at(5s), 5s));
  CHECK(other.doubt().empty());
}

TEST_CASE("a server that answers although its agent sees none is doubted only when that lasts") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(nothing_runs(at(0s))));
  evidence.answered(answer(at(0s), 0s));
  CHECK(evidence.doubt().empty());
  evidence.answered(answer(at(2s), 2s));
  CHECK(evidence.doubt() == "its agent sees no server run, although this one answers");
}

TEST_CASE("two short mismatches, with another word between them, are no lasting one") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(nothing_runs(at(0s))));
  evidence.answered(answer(at(0s), 0s));
  CHECK_FALSE(evidence.reported(runs(at(1s), 7, 1s)));
  CHECK_FALSE(evidence.reported(nothing_runs(at(8s))));
  evidence.answered(answer(at(8s), 0s));
  CHECK(evidence.doubt().empty());
}

TEST_CASE("two servers that each answer for a moment before their agent has found them are no lasting mismatch") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(nothing_runs(at(0s))));
  evidence.answered(answer(at(100ms), 50ms));  // it dies at once
  CHECK_FALSE(evidence.reported(nothing_runs(at(1500ms))));
  evidence.answered(answer(at(1900ms), 300ms));  // the next one is started, and the agent dies
  evidence.answered(answer(at(2300ms), 700ms));
  CHECK(evidence.doubt().empty());
}

TEST_CASE("what an agent said before it fell silent raises no doubt of a server that was started since") {
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(nothing_runs(at(0s))));
  for (const Duration later : {1s, 4s, 8s, 12s}) evidence.answered(answer(at(later), later));
  CHECK(evidence.doubt().empty());
}

TEST_CASE("a doubt ends with the server that gave rise to it, where the agent was known as its own before") {
  const auto refused = [](Instant when) {
    Observation observation;
    observation.started_at = observation.finished_at = when;
    observation.outcome = ProbeOutcome::kRefused;
    return observation;
  };
  AgentEvidence evidence(kPort);
  CHECK_FALSE(evidence.reported(runs(at(0s), 1, 0s)));
  evidence.answered(answer(at(0s), 0s));
  CHECK(evidence.reported(nothing_runs(at(10s), at(10s))));
  CHECK_FALSE(evidence.reported(nothing_runs(at(11s), at(10s))));
  evidence.answered(answer(at(11s), 1s));  // one whose postmaster.pid is gone, so that its agent does not find it
  evidence.answered(answer(at(13s), 3s));
  CHECK_FALSE(evidence.doubt().empty());
  evidence.answered(refused(at(14s)));
  CHECK(evidence.doubt().empty());

  AgentEvidence stranger(kPort);
  CHECK_FALSE(stranger.reported(nothing_runs(at(0s))));
  stranger.answered(answer(at(0s), 0s));
  stranger.answered(answer(at(2s), 2s));
  CHECK_FALSE(stranger.doubt().empty());
  stranger.answered(refused(at(3s)));
  CHECK_FALSE(stranger.doubt().empty());
}
