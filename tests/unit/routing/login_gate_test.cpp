#include "proxy/routing/login_gate.h"

#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart{};

Instant at(Duration since_start) {
  return kStart + since_start;
}

}  // namespace

TEST_CASE("without a failover everybody passes at once") {
  LoginGate gate(1);
  for (int client = 0; client < 1000; ++client) CHECK(gate.try_pass(gate.enter(), kStart));
}

TEST_CASE("after a failover logins pass at the rate") {
  LoginGate gate(100);
  gate.limit_from(kStart);
  std::vector<LoginGate::Ticket> tickets;
  for (int client = 0; client < 200; ++client) tickets.push_back(gate.enter());
  std::size_t passed = 0;
  for (Duration now = 0ms; now <= 1s; now += 1ms) {
    while (passed < tickets.size() && gate.try_pass(tickets[passed], at(now))) gate.settle(tickets[passed++]);
    CHECK(static_cast<double>(passed) <= 2 + 100 * std::chrono::duration<double>(now).count() + 1);
  }
  CHECK(passed >= 99);
  CHECK(passed <= 103);
}

TEST_CASE("who came first passes first, whoever asks") {
  LoginGate gate(10);
  gate.limit_from(kStart);
  const auto first = gate.enter();
  const auto second = gate.enter();
  CHECK_FALSE(gate.try_pass(second, kStart));
  CHECK(gate.try_pass(first, kStart));
  CHECK_FALSE(gate.try_pass(second, kStart));
  CHECK(gate.try_pass(second, at(101ms)));
}

TEST_CASE("who gives up does not hold up the others") {
  LoginGate gate(10);
  gate.limit_from(kStart);
  const auto first = gate.enter();
  const auto second = gate.enter();
  gate.leave(first);
  CHECK_FALSE(gate.try_pass(first, kStart));
  CHECK(gate.try_pass(second, kStart));
}

TEST_CASE("who waits again has its old place") {
  LoginGate gate(10);
  const auto first = gate.enter();
  CHECK(gate.try_pass(first, kStart));
  gate.limit_from(kStart);
  const auto second = gate.enter();
  gate.enter(first);
  CHECK_FALSE(gate.try_pass(second, kStart));
  CHECK(gate.try_pass(first, kStart));
}

TEST_CASE("the limit ends when the queue is empty and the rush is over") {
  LoginGate gate(1);
  gate.limit_from(kStart);
  for (int client = 0; client < 2; ++client) CHECK(gate.try_pass(gate.enter(), at(5s)));
  const auto during_rush = gate.enter();
  CHECK_FALSE(gate.try_pass(during_rush, at(5s)));
  CHECK(gate.try_pass(during_rush, at(11s)));
  for (int client = 0; client < 100; ++client) CHECK(gate.try_pass(gate.enter(), at(11s)));
}

TEST_CASE("a queue that is longer than the rush keeps the limit") {
  LoginGate gate(1);
  gate.limit_from(kStart);
  std::vector<LoginGate::Ticket> tickets;
  for (int client = 0; client < 30; ++client) tickets.push_back(gate.enter());
  CHECK(gate.try_pass(tickets[0], at(20s)));
  CHECK(gate.try_pass(tickets[1], at(20s)));
  CHECK_FALSE(gate.try_pass(tickets[2], at(20s)));
}

TEST_CASE("a server that does not keep up with the rate gets no more than it can answer, the first of the queue next") {
  LoginGate gate(1000);
  gate.limit_from(kStart);
  std::vector<LoginGate::Ticket> tickets;
  for (int client = 0; client < 1000; ++client) tickets.push_back(gate.enter());
  std::size_t passed = 0;
  const auto let_pass = [&](Duration from, Duration until) {
    for (Duration now = from; now <= until; now += 1ms) {
      while (passed < tickets.size() && gate.try_pass(tickets[passed], at(now))) ++passed;
    }
  };
  let_pass(0ms, 2s);
  const std::size_t under_way = passed;
  CHECK(under_way < 200);
  SUBCASE("an answer makes room for one") {
    gate.settle(tickets[3]);
    gate.settle(tickets[3]);
    CHECK_FALSE(gate.try_pass(tickets[passed + 1], at(2s)));
    let_pass(2s, 3s);
    CHECK(passed == under_way + 1);
  }
  SUBCASE("an attempt that begins anew is no longer under way, and is the next") {
    gate.enter(tickets[3]);
    CHECK_FALSE(gate.try_pass(tickets[passed], at(3s)));
    CHECK(gate.try_pass(tickets[3], at(3s)));
    let_pass(3s, 4s);
    CHECK(passed == under_way);
  }
}

TEST_CASE("a rate of nothing is no limit") {
  LoginGate gate(0);
  gate.limit_from(kStart);
  for (int client = 0; client < 100; ++client) CHECK(gate.try_pass(gate.enter(), kStart));
}
