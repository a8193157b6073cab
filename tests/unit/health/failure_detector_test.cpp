#include "health/failure_detector.h"

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const Instant kBegin{1h};

// Default settings: interval 500ms, probe_timeout 1s, refused_confirm 150ms, failure_timeout 3s, restart_grace 2s.
struct Node {
  FailureDetector detector{DetectionConfig{}, kBegin};

  void probe(Duration started, Duration finished, ProbeOutcome outcome, std::string detail = {}) {
    detector.observed({.node = "a",
                       .started_at = kBegin + started,
                       .finished_at = kBegin + finished,
                       .outcome = outcome,
                       .detail = std::move(detail),
                       .facts = {}});
  }
  void answered(Duration at) { probe(at - 1ms, at, ProbeOutcome::kAnswered); }
  void refused(Duration at) { probe(at - 1ms, at, ProbeOutcome::kRefused, "connection refused"); }
  void starting(Duration at) { probe(at - 1ms, at, ProbeOutcome::kStarting, "57P03"); }
  void timed_out(Duration started, Duration finished) { probe(started, finished, ProbeOutcome::kTimedOut); }

  Liveness at(Duration when) const { return detector.suspicion(kBegin + when).liveness; }
  Suspicion suspicion(Duration when) const { return detector.suspicion(kBegin + when); }
  std::optional<Duration> next_change(Duration when) const { return offset(detector.next_change(kBegin + when)); }
  std::optional<Duration> confirm() const { return offset(detector.confirm_probe_at()); }

  static std::optional<Duration> offset(Instant when) {
    if (when == Instant::max()) return std::nullopt;
    return when - kBegin;
  }
};

}  // namespace

TEST_CASE("a node that was never asked stays unknown, however long") {
  Node node;
  CHECK(node.at(0s) == Liveness::kUnknown);
  CHECK(node.at(24h) == Liveness::kUnknown);
  CHECK(node.suspicion(1h).last_heard == Instant{});
  CHECK_FALSE(node.next_change(0s).has_value());
  CHECK_FALSE(node.confirm().has_value());
}

TEST_CASE("an answer makes it alive, two intervals without one make it late, and silence alone never makes it failed") {
  Node node;
  node.answered(100ms);
  CHECK(node.at(100ms) == Liveness::kAlive);
  CHECK(node.suspicion(100ms).since == kBegin + 100ms);
  CHECK(node.next_change(100ms) == 1100ms);
  CHECK(node.at(1099ms) == Liveness::kAlive);
  CHECK(node.at(1100ms) == Liveness::kLate);
  CHECK(node.suspicion(24h).since == kBegin + 1100ms);
  CHECK(node.at(24h) == Liveness::kLate);
  CHECK_FALSE(node.next_change(1100ms).has_value());
}

TEST_CASE("alive since the first of an unbroken row of answers") {
  Node node;
  for (auto at = 100ms; at < 10s; at += 500ms) node.answered(at);
  CHECK(node.suspicion(9700ms).since == kBegin + 100ms);
  node.answered(20s);
  CHECK(node.suspicion(20s).since == kBegin + 20s);
}

TEST_CASE("every answer that is none of facts counts as life") {
  for (const auto outcome : {ProbeOutcome::kAnswered, ProbeOutcome::kAliveOnly}) {
    Node node;
    node.probe(0s, 1ms, outcome, "53300");
    CHECK(node.at(1ms) == Liveness::kAlive);
    CHECK(node.suspicion(1ms).last_heard == kBegin + 1ms);
  }
}

TEST_CASE("silent after failure_timeout, when a probe that began after the last sign of life got no answer") {
  Node node;
  node.answered(0s);
  node.timed_out(500ms, 1500ms);
  CHECK(node.at(1500ms) == Liveness::kLate);
  CHECK(node.next_change(1500ms) == 3s);
  CHECK(node.at(2999ms) == Liveness::kLate);
  CHECK(node.at(3s) == Liveness::kSilent);
  CHECK(node.suspicion(10s).since == kBegin + 3s);
  CHECK(node.suspicion(10s).failed());
  CHECK_FALSE(node.next_change(3s).has_value());
}

TEST_CASE("a probe that was already under way at the last sign of life does not make a node silent") {
  Node node;
  node.answered(0s);
  node.detector.heard_from(kBegin + 700ms);
  node.timed_out(500ms, 1500ms);
  CHECK(node.at(24h) == Liveness::kLate);
  node.timed_out(24h, 24h + 1s);
  CHECK(node.at(24h + 1s) == Liveness::kSilent);
  CHECK(node.suspicion(24h + 1s).since == kBegin + 24h + 1s);
}

TEST_CASE("a node that never answered becomes silent too") {
  Node node;
  node.timed_out(0s, 1s);
  CHECK(node.at(2999ms) == Liveness::kUnknown);
  CHECK(node.next_change(1s) == 3s);
  CHECK(node.at(3s) == Liveness::kSilent);
}

TEST_CASE("bytes on a client link speak against silence") {
  Node node;
  node.answered(0s);
  node.timed_out(500ms, 1500ms);
  node.timed_out(1500ms, 2500ms);
  node.detector.heard_from(kBegin + 2600ms);
  CHECK(node.at(3s) == Liveness::kAlive);
  CHECK(node.at(4s) == Liveness::kLate);
  node.timed_out(3s, 4s);
  CHECK(node.at(5599ms) == Liveness::kLate);
  CHECK(node.at(5600ms) == Liveness::kSilent);
  node.detector.heard_from(kBegin + 5700ms);
  CHECK(node.at(5700ms) == Liveness::kAlive);
}

TEST_CASE("bytes that are told late do not undo a probe that began after them") {
  Node node;
  node.answered(0s);
  node.timed_out(600ms, 1600ms);
  node.timed_out(1600ms, 2600ms);
  node.detector.heard_from(kBegin + 500ms);
  CHECK(node.at(3499ms) == Liveness::kLate);
  CHECK(node.at(3500ms) == Liveness::kSilent);
  node.detector.heard_from(kBegin + 1500ms);  // after the first began, before the second did
  CHECK(node.at(4499ms) == Liveness::kLate);
  CHECK(node.at(4500ms) == Liveness::kSilent);
}

TEST_CASE("bytes that were never heard, or are old, change nothing") {
  Node node;
  node.detector.heard_from(Instant{});
  CHECK(node.at(0s) == Liveness::kUnknown);
  node.answered(1s);
  node.detector.heard_from(kBegin + 500ms);
  CHECK(node.suspicion(1s).last_heard == kBegin + 1s);
}

TEST_CASE("refused once is no reason, refused again after refused_confirm is death") {
  Node node;
  node.answered(0s);
  node.refused(100ms);
  CHECK(node.at(100ms) == Liveness::kLate);
  CHECK(node.at(2999ms) == Liveness::kLate);
  CHECK(node.confirm() == 250ms);
  node.refused(249ms);
  CHECK(node.at(249ms) == Liveness::kLate);
  CHECK(node.confirm() == 250ms);
  node.refused(250ms);
  CHECK(node.at(250ms) == Liveness::kDead);
  CHECK(node.suspicion(1h).since == kBegin + 250ms);
  CHECK(node.suspicion(1h).evidence == "connection refused 3 times, first and last 150ms apart");
  CHECK_FALSE(node.confirm().has_value());
  CHECK_FALSE(node.next_change(250ms).has_value());
}

TEST_CASE("each sign of life breaks a run of refusals") {
  SUBCASE("an answer") {
    Node node;
    node.refused(0s);
    node.answered(100ms);
    node.refused(200ms);
    CHECK(node.at(200ms) == Liveness::kLate);
    CHECK(node.confirm() == 350ms);
    node.refused(350ms);
    CHECK(node.at(350ms) == Liveness::kDead);
    CHECK(node.suspicion(350ms).evidence == "connection refused twice, 150ms apart");
  }
  SUBCASE("57P03") {
    Node node;
    node.refused(0s);
    node.starting(100ms);
    node.refused(200ms);
    CHECK(node.at(200ms) == Liveness::kStarting);
    node.refused(350ms);
    CHECK(node.at(350ms) == Liveness::kDead);
  }
  SUBCASE("bytes after the refusals") {
    Node node;
    node.refused(0s);
    node.refused(150ms);
    CHECK(node.at(150ms) == Liveness::kDead);
    node.detector.heard_from(kBegin + 151ms);
    CHECK(node.at(151ms) == Liveness::kAlive);
    node.refused(300ms);
    CHECK(node.at(300ms) == Liveness::kLate);
  }
  SUBCASE("bytes between the refusals, told later") {
    Node node;
    node.refused(0s);
    node.refused(200ms);
    node.detector.heard_from(kBegin + 100ms);
    CHECK(node.at(200ms) == Liveness::kLate);
    CHECK(node.confirm() == 350ms);
    node.refused(350ms);
    CHECK(node.at(350ms) == Liveness::kDead);
  }
  SUBCASE("bytes before the refusals do not") {
    Node node;
    node.refused(100ms);
    node.refused(300ms);
    node.detector.heard_from(kBegin + 50ms);
    CHECK(node.at(300ms) == Liveness::kDead);
  }
}

TEST_CASE("probes without an answer between two refusals leave the run whole") {
  Node node;
  node.refused(0s);
  node.timed_out(100ms, 1100ms);
  CHECK_FALSE(node.confirm().has_value());  // asked after refused_confirm: back to the interval
  node.probe(1200ms, 1200ms, ProbeOutcome::kOwnTrouble, "EMFILE");
  node.refused(1300ms);
  CHECK(node.at(1300ms) == Liveness::kDead);
}

TEST_CASE("a refusal and then nothing at all is silence") {
  Node node;
  node.answered(0s);
  node.refused(500ms);
  node.timed_out(650ms, 1650ms);
  CHECK(node.at(3s) == Liveness::kSilent);
}

TEST_CASE("a postmaster that was seen to die is dead at once, until a probe that began later is answered") {
  struct Row {
    ProbeOutcome outcome;
    Liveness after;
  };
  for (const auto& row : std::vector<Row>{{ProbeOutcome::kAnswered, Liveness::kAlive},
                                          {ProbeOutcome::kAliveOnly, Liveness::kAlive},
                                          {ProbeOutcome::kStarting, Liveness::kStarting},
                                          {ProbeOutcome::kRefused, Liveness::kDead},
                                          {ProbeOutcome::kTimedOut, Liveness::kDead},
                                          {ProbeOutcome::kOwnTrouble, Liveness::kDead}}) {
    Node node;
    node.answered(0s);
    node.detector.postmaster_died(kBegin + 100ms, "postmaster 42 exited");
    CHECK(node.at(100ms) == Liveness::kDead);
    CHECK(node.suspicion(100ms).since == kBegin + 100ms);
    CHECK(node.suspicion(100ms).evidence == "postmaster 42 exited");
    CHECK_FALSE(node.next_change(100ms).has_value());

    node.probe(50ms, 110ms, ProbeOutcome::kAnswered);  // began before
    node.detector.heard_from(kBegin + 120ms);          // was on its way
    node.detector.stalled(kBegin + 130ms);
    CHECK(node.at(130ms) == Liveness::kDead);

    node.probe(140ms, 150ms, row.outcome);
    CHECK(node.at(150ms) == row.after);
  }
}

TEST_CASE("a server that says that it is starting gets restart_grace, and is stuck when it says so after that") {
  Node node;
  node.answered(0s);
  node.starting(500ms);
  CHECK(node.at(500ms) == Liveness::kStarting);
  CHECK(node.suspicion(500ms).since == kBegin + 500ms);
  CHECK_FALSE(node.suspicion(500ms).failed());
  CHECK(node.confirm() == 650ms);  // asked more often while it starts
  node.starting(2400ms);
  CHECK(node.at(2450ms) == Liveness::kStarting);
  CHECK(node.confirm() == 2500ms);
  CHECK(node.at(2600ms) == Liveness::kStarting);  // not by the clock alone
  node.starting(2500ms);
  CHECK(node.at(2500ms) == Liveness::kStuck);
  CHECK(node.suspicion(1h).since == kBegin + 2500ms);
  CHECK(node.suspicion(2500ms).failed());
  CHECK_FALSE(node.confirm().has_value());
  node.answered(3s);
  CHECK(node.at(3s) == Liveness::kAlive);
}

TEST_CASE("the grace begins anew after an answer, and after death") {
  Node node;
  node.starting(0s);
  node.answered(1900ms);
  node.starting(2s);
  CHECK(node.at(2s) == Liveness::kStarting);
  node.refused(2100ms);
  node.refused(2300ms);
  CHECK(node.at(2300ms) == Liveness::kDead);
  node.starting(2400ms);
  CHECK(node.at(2400ms) == Liveness::kStarting);
  node.starting(4399ms);
  CHECK(node.at(4399ms) == Liveness::kStarting);
  node.starting(4400ms);
  CHECK(node.at(4400ms) == Liveness::kStuck);
}

TEST_CASE("a crash loop that never answers uses up one grace") {
  Node node;
  for (auto at = 0ms; at < 2000ms; at += 200ms) {
    node.starting(at);
    node.refused(at + 100ms);
    CHECK(node.at(at + 100ms) == Liveness::kStarting);
  }
  node.starting(2000ms);
  CHECK(node.at(2000ms) == Liveness::kStuck);
}

TEST_CASE("bytes on a client link do not prolong the grace: they may be 57P03 itself") {
  Node node;
  node.starting(0s);
  node.detector.heard_from(kBegin + 1900ms);
  node.starting(2s);
  CHECK(node.at(2s) == Liveness::kStuck);
}

TEST_CASE("a server that stops answering while it starts becomes silent") {
  Node node;
  node.starting(0s);
  node.timed_out(150ms, 1150ms);
  CHECK(node.at(2999ms) == Liveness::kStarting);
  CHECK(node.next_change(1150ms) == 3s);
  CHECK(node.at(3s) == Liveness::kSilent);
}

TEST_CASE("own trouble is no evidence, and silence is counted from it anew") {
  Node node;
  node.answered(0s);
  node.timed_out(500ms, 1500ms);
  node.probe(2900ms, 2900ms, ProbeOutcome::kOwnTrouble, "too many open files");
  CHECK(node.at(3s) == Liveness::kLate);
  CHECK(node.suspicion(3s).evidence == "no answer lately (could not ask: too many open files)");
  CHECK(node.suspicion(3s).last_heard == kBegin);
  CHECK(node.at(24h) == Liveness::kLate);
  node.timed_out(3s, 4s);
  CHECK(node.at(5899ms) == Liveness::kLate);
  CHECK(node.at(5900ms) == Liveness::kSilent);
  node.detector.own_trouble(kBegin + 6s);
  CHECK(node.at(6s) == Liveness::kLate);
}

TEST_CASE("after a stall nothing that was not heard counts, and every verdict by refusal or 57P03 is earned anew") {
  SUBCASE("silence") {
    Node node;
    node.answered(0s);
    node.timed_out(500ms, 20s);  // expired while we slept
    node.detector.stalled(kBegin + 20s);
    CHECK(node.at(20s) == Liveness::kLate);
    CHECK(node.at(24h) == Liveness::kLate);
    node.timed_out(20s, 21s);
    CHECK(node.at(22999ms) == Liveness::kLate);
    CHECK(node.at(23s) == Liveness::kSilent);
  }
  SUBCASE("a probe that began before the stall, although it ends after it") {
    Node node;
    node.answered(0s);
    node.detector.stalled(kBegin + 10s);
    node.timed_out(500ms, 10500ms);
    CHECK(node.at(24h) == Liveness::kLate);
  }
  SUBCASE("refusals") {
    Node node;
    node.refused(0s);
    node.detector.stalled(kBegin + 5s);
    node.refused(5100ms);
    CHECK(node.at(5100ms) == Liveness::kUnknown);
    CHECK(node.confirm() == 5250ms);
    node.refused(5250ms);
    CHECK(node.at(5250ms) == Liveness::kDead);
    node.detector.stalled(kBegin + 10s);
    CHECK(node.at(10s) == Liveness::kUnknown);
  }
  SUBCASE("57P03") {
    Node node;
    node.starting(0s);
    node.detector.stalled(kBegin + 5s);
    node.starting(5100ms);
    CHECK(node.at(5100ms) == Liveness::kStarting);
    node.starting(7100ms);
    CHECK(node.at(7100ms) == Liveness::kStuck);
  }
}

TEST_CASE("whatever is heard in whichever order, next_change is never missed") {
  // Every sequence of four events, 400ms apart; the liveness is then followed millisecond by millisecond.
  constexpr int kEvents = 7;
  int combinations = 1;
  for (int step = 0; step < 4; ++step) combinations *= kEvents;
  for (int combination = 0; combination < combinations; ++combination) {
    Node node;
    int rest = combination;
    Duration at = 0s;
    for (int step = 0; step < 4; ++step, rest /= kEvents) {
      at += 400ms;
      switch (rest % kEvents) {
        case 0:
          node.answered(at);
          break;
        case 1:
          node.refused(at);
          break;
        case 2:
          node.starting(at);
          break;
        case 3:
          node.timed_out(at - 390ms, at);
          break;
        case 4:
          node.detector.heard_from(kBegin + at);
          break;
        case 5:
          node.detector.own_trouble(kBegin + at);
          break;
        default:
          node.detector.stalled(kBegin + at);
      }
    }
    Duration from = at;
    while (true) {  // between two changes that were announced, nothing changes
      const auto liveness = node.at(from);
      const auto change = node.next_change(from);
      const Duration until = change.value_or(from + 10s);
      for (Duration when = from; when < until; when += 100ms) REQUIRE(node.at(when) == liveness);
      REQUIRE(node.at(until - 1ns) == liveness);
      if (!change) break;
      from = *change;
    }
  }
}

TEST_CASE("the evidence against a node that failed stays what it was, whatever later probes run into") {
  Node silent;
  silent.answered(0ms);
  silent.probe(500ms, 1500ms, ProbeOutcome::kTimedOut, "no answer within 1s");
  silent.probe(2s, 2100ms, ProbeOutcome::kTimedOut, "No route to host");
  CHECK(silent.suspicion(3s).evidence == "no answer for 3s (no answer within 1s)");
  silent.probe(4s, 5s, ProbeOutcome::kTimedOut, "no answer within 1s");
  silent.probe(5s, 5100ms, ProbeOutcome::kTimedOut, "No route to host");
  CHECK(silent.suspicion(6s).evidence == "no answer for 3s (no answer within 1s)");

  Node stuck;
  stuck.starting(0ms);
  stuck.starting(2s);
  const std::string evidence = stuck.suspicion(2s).evidence;
  CHECK(evidence == "accepted no connections for 2s (57P03)");
  stuck.probe(2100ms, 2200ms, ProbeOutcome::kTimedOut, "the link broke");
  CHECK(stuck.suspicion(2500ms).evidence == evidence);
}

TEST_CASE("it is known when a node was last asked in vain") {
  Node node;
  node.answered(0ms);
  CHECK(node.suspicion(0s).asked_in_vain_at == Instant{});
  node.timed_out(500ms, 1500ms);
  node.timed_out(2s, 3s);
  CHECK(node.suspicion(4s).asked_in_vain_at == kBegin + 2s);
  node.refused(4s);
  CHECK(node.suspicion(4s).asked_in_vain_at == kBegin + 3999ms);
}
