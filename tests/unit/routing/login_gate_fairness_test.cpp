// Thousands of clients at the gate of several workers, in simulated time: first come first served, and nobody starves.
#include <algorithm>
#include <deque>
#include <random>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/routing/login_gate.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart{};
constexpr std::size_t kWorkers = 4;

struct Client {
  std::size_t number = 0;  // in the order in which they came
  LoginGate::Ticket ticket = 0;
  Instant came{};
};

// Each worker asks for its own first client only, every few milliseconds, and sometimes is busy for longer.
struct Worker {
  std::deque<Client> queue;
  Instant asks_at = kStart;
};

struct World {
  World(std::uint32_t rate, std::uint32_t served_per_second, unsigned seed)
      : gate(rate), service_time(Duration(1s) / served_per_second), random(seed) {
    gate.limit_from(kStart);
  }

  [[nodiscard]] std::size_t draw(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  }
  void arrive(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const Client client{arrived++, gate.enter(), now};
      workers[draw(kWorkers)].queue.push_back(client);
      waiting.insert(client.number);
    }
  }
  void tick() {
    now += 1ms;
    while (!in_service.empty() && served_at <= now) {
      gate.settle(in_service.front());
      in_service.pop_front();
      served_at += service_time;
    }
    std::ranges::shuffle(order, random);
    for (const std::size_t index : order) {
      Worker& worker = workers[index];
      if (worker.asks_at <= now) ask(worker);
    }
  }
  void ask(Worker& worker) {
    while (!worker.queue.empty() && gate.try_pass(worker.queue.front().ticket, now)) {
      const Client client = worker.queue.front();
      worker.queue.pop_front();
      waiting.erase(client.number);
      const auto ahead = static_cast<std::size_t>(std::distance(waiting.begin(), waiting.lower_bound(client.number)));
      overtaken_max = std::max(overtaken_max, ahead);
      longest_wait = std::max<Duration>(longest_wait, now - client.came);
      if (in_service.empty()) served_at = now + service_time;
      in_service.push_back(client.ticket);
      ++passed;
    }
    worker.asks_at = now + (draw(500) == 0 ? Duration(60ms) : Duration(2ms));
  }

  LoginGate gate;
  Duration service_time;
  std::mt19937 random;
  Instant now = kStart;
  std::vector<Worker> workers{kWorkers};
  std::vector<std::size_t> order{0, 1, 2, 3};
  std::deque<LoginGate::Ticket> in_service;  // the server takes one at a time
  Instant served_at{};
  std::set<std::size_t> waiting;
  std::size_t arrived = 0;
  std::size_t passed = 0;
  std::size_t overtaken_max = 0;  // who came earlier and still waited when somebody passed
  Duration longest_wait{};
};

// What may pass at once: places of logins that are under way, held by those in front whose worker has not asked yet.
std::size_t places_of(std::uint32_t rate) {
  return std::max<std::size_t>(16, rate / 8);
}

}  // namespace

TEST_CASE("five thousand clients pass in the order in which they came, and none waits longer than its place takes") {
  constexpr std::size_t kClients = 5000;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    World world(500, 2000, seed);
    for (int step = 0; step < 500; ++step) {
      world.arrive(kClients / 500);
      world.tick();
    }
    while (world.passed < kClients && world.now < kStart + 60s) world.tick();
    CHECK(world.passed == kClients);
    CHECK(world.overtaken_max < places_of(500));
    // Five thousand at 500 a second are ten seconds, for the last one too.
    CHECK(world.longest_wait < 11s);
  }
}

TEST_CASE("where the server does a fifth of the rate, all have their turn in order, and it is never idle") {
  constexpr std::size_t kClients = 2000;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    World world(500, 100, seed);
    world.arrive(kClients);
    while (world.passed < kClients && world.now < kStart + 60s) world.tick();
    CHECK(world.passed == kClients);
    CHECK(world.overtaken_max < places_of(500));
    CHECK(world.longest_wait < 21s);
  }
}

TEST_CASE("a stream of newcomers at the full rate holds up nobody who came before") {
  World world(200, 1000, 7);
  world.arrive(3000);
  std::size_t first_are_through_at = 0;
  for (std::size_t step = 1; step <= 30'000; ++step) {
    if (step % 5 == 0) world.arrive(1);
    world.tick();
    if (first_are_through_at == 0 && (world.waiting.empty() || *world.waiting.begin() >= 3000))
      first_are_through_at = step;
  }
  // 3000 at 200 a second, whoever comes behind them.
  CHECK(first_are_through_at > 14'000);
  CHECK(first_are_through_at < 16'000);
  CHECK(world.overtaken_max < places_of(200));
  CHECK(world.longest_wait < 16s);
}

TEST_CASE("a stream above the rate, which the server bore before the failover, is not limited for ever") {
  World world(200, 1000, 8);
  world.arrive(1000);
  std::size_t queued_max = 0;
  for (std::size_t step = 1; step <= 60'000; ++step) {
    if (step % 10 < 3) world.arrive(1);  // 300 a second
    world.tick();
    queued_max = std::max(queued_max, world.waiting.size());
    if (step == 9'000) CHECK(world.passed <= 9 * 200 + 100);  // the rush is held to the rate
  }
  // 1000, and what the rush of ten seconds and its end add.
  CHECK(queued_max < 3500);
  CHECK(world.waiting.size() < places_of(200));
  CHECK(world.overtaken_max < places_of(200));
}

TEST_CASE("what has queued up behind the rush passes no faster than the server answers") {
  LoginGate gate(200);
  gate.limit_from(kStart);
  Instant now = kStart;
  std::vector<LoginGate::Ticket> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(gate.enter());
  now += 10s;
  REQUIRE(gate.try_pass(waiting.front(), now));  // from here on it is known who came during the rush
  gate.settle(waiting.front());
  for (int i = 0; i < 1000; ++i) waiting.push_back(gate.enter());
  std::size_t passed = 1;
  while (passed < 100) {
    now += 5ms;
    if (!gate.try_pass(waiting[passed], now)) continue;
    gate.settle(waiting[passed++]);
  }
  // The others: as many as may be under way, whatever the time.
  std::size_t at_once = 0;
  while (passed < waiting.size() && gate.try_pass(waiting[passed], now)) {
    ++passed;
    ++at_once;
  }
  CHECK(at_once == places_of(200));
}

TEST_CASE("a stream above what the server does is not held up for ever either") {
  LoginGate gate(200);
  gate.limit_from(kStart);
  std::deque<LoginGate::Ticket> waiting;
  std::deque<LoginGate::Ticket> in_service;
  bool all_pass = false;
  for (Instant now = kStart; now < kStart + 300s && !all_pass; now += 10ms) {
    for (int i = 0; i < 10; ++i) waiting.push_back(gate.enter());  // 1000 a second, of which it does 500
    for (int i = 0; i < 5 && !in_service.empty(); ++i) {
      gate.settle(in_service.front());
      in_service.pop_front();
    }
    while (!waiting.empty() && gate.try_pass(waiting.front(), now)) {
      in_service.push_back(waiting.front());
      waiting.pop_front();
    }
    all_pass = waiting.empty();
  }
  CHECK(all_pass);
}
