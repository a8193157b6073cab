// Connects by the thousand, of which most mean nothing; and connections that never finish their first sentence.
#include <algorithm>
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>
#include <tuple>

#include "proxy/io/clock.h"
#include "tests/bench/beside.h"
#include "tests/bench/crowd_runs.h"
#include "tests/bench/swarm.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/wire_messages.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;
using namespace wire_test;

constexpr std::size_t kConnectsAtOnce = 6000;
constexpr std::size_t kOpensAtOnce = 32;
constexpr std::size_t kSilentWithinRoom = 900;  // there is room for these under any limit on open files
constexpr Duration kBrokenAfter = 2min;         // ends a broken run
constexpr Duration kQuiet = 2s;                 // what is measured before the crowd comes

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// One server, and a pgkeel in front of it.
struct Single {
  explicit Single(std::vector<std::string> proxy_lines)
      : server(PostgresServer::primary(folder, "a", {.settings = {"fsync = off"}})),
        pgkeel(folder, {server.get()}, {.proxy_lines = std::move(proxy_lines), .log_level = "info"}) {
    pgkeel.start();
    if (!pgkeel.wait_normal("a")) throw std::runtime_error(pgkeel.describe());
  }
  TemporaryFolder folder;
  std::unique_ptr<PostgresServer> server;
  PgkeelProcess pgkeel;
};

enum class Visit {
  kBare,      // connects, and goes
  kScan,      // speaks another protocol
  kStartup,   // a client: gets in while there is a place, else 53300
  kProtocol,  // a client of the future: 0A000
};

std::string first_words(Visit visit) {
  static const std::string startup = startup_message(0, "postgres");
  static const std::string future = untyped(int16_bytes(4) + int16_bytes(0) + zero_terminated("user") + '\0');
  switch (visit) {
    case Visit::kBare:
      return {};
    case Visit::kScan:
      return "GET / HTTP/1.0\r\n\r\n";
    case Visit::kStartup:
      return startup;
    case Visit::kProtocol:
      return future;
  }
  return {};
}

class Flood {
 public:
  explicit Flood(std::uint16_t port)
      : visitors_(kConnectsAtOnce),
        swarm_(port, kConnectsAtOnce, [this](auto number, auto event) { take(number, event); }) {
    for (std::size_t number = kConnectsAtOnce; number > 0; --number) free_.push_back(number - 1);
  }

  // Returns when all that were opened have come to their end.
  void run(std::size_t connects_per_second, std::chrono::seconds time) {
    const Instant began = monotonic_now();
    const std::size_t all = connects_per_second * static_cast<std::size_t>(time.count());
    while (opened_ < all) {
      const double seconds = milliseconds(monotonic_now() - began) / 1000;
      const auto due = std::min(all, static_cast<std::size_t>(seconds * static_cast<double>(connects_per_second)));
      // A few at a time: each is to speak as soon as it is connected, as a client does.
      for (std::size_t few = 0; few < kOpensAtOnce && opened_ < due && !free_.empty(); ++few) open();
      swarm_.turn(opened_ < due ? 0ms : 1ms);
    }
    took_ = monotonic_now() - began;
    const Instant limit = monotonic_now() + kBrokenAfter;
    while (swarm_.open_count() > 0 && monotonic_now() < limit) swarm_.turn(100ms);
    if (swarm_.open_count() > 0) failures_["no answer, and no end"] += swarm_.open_count();
  }

  [[nodiscard]] double rate() const { return static_cast<double>(opened_) * 1000 / milliseconds(took_); }
  [[nodiscard]] const std::map<std::string, std::size_t>& outcomes() const { return outcomes_; }
  [[nodiscard]] const std::map<std::string, std::size_t>& failures() const { return failures_; }
  [[nodiscard]] std::vector<double> answers_ms() { return std::move(answers_ms_); }

 private:
  struct Visitor {
    Visit visit = Visit::kBare;
    Instant since{};
  };

  void open() {
    const std::size_t number = free_.back();
    free_.pop_back();
    const auto visit = static_cast<Visit>(opened_++ % 4);
    visitors_[number] = {visit, monotonic_now()};
    swarm_.open(number, first_words(visit));
  }

  void take(std::size_t number, Swarm::Event event) {
    const Visit visit = visitors_[number].visit;
    if (event == Swarm::Event::kConnected) {
      if (visit != Visit::kBare) return;
      ++outcomes_["connected, and left"];
      leave(number);
      return;
    }
    if (event == Swarm::Event::kHeard) {
      const auto messages = split_messages(swarm_.heard(number));
      if (messages.empty() || messages.back().type != 'Z') return;
      ++outcomes_["served"];
      swarm_.write(number, terminate());
      if (swarm_.is_open(number)) leave(number);
      return;
    }
    ended(number);
    free_.push_back(number);
  }

  void leave(std::size_t number) {
    note_answer(number);
    swarm_.reset(number);
    free_.push_back(number);
  }

  void note_answer(std::size_t number) {
    answers_ms_.push_back(milliseconds(monotonic_now() - visitors_[number].since));
  }

  void ended(std::size_t number) {
    note_answer(number);
    const auto messages = split_messages(swarm_.heard(number));
    const std::string state = messages.size() == 1 ? messages[0].field('C') : "";
    switch (visitors_[number].visit) {
      case Visit::kBare:
        break;
      case Visit::kScan:
        if (!messages.empty()) break;
        ++outcomes_["port scan, closed without a word"];
        return;
      case Visit::kStartup:
        if (state != "53300") break;
        ++outcomes_["refused with 53300"];
        return;
      case Visit::kProtocol:
        if (state != "0A000") break;
        ++outcomes_["refused with 0A000"];
        return;
    }
    static constexpr const char* kNames[] = {"bare", "scan", "startup", "protocol"};
    ++failures_[std::string(kNames[static_cast<std::size_t>(visitors_[number].visit)]) + " ended with errno " +
                std::to_string(swarm_.error(number)) + (messages.empty() ? ", nothing heard" : ", heard " + state)];
  }

  std::vector<Visitor> visitors_;
  Swarm swarm_;
  std::vector<std::size_t> free_;
  std::size_t opened_ = 0;
  Duration took_{};
  std::map<std::string, std::size_t> outcomes_;
  std::map<std::string, std::size_t> failures_;
  std::vector<double> answers_ms_;
};

// Each says a byte of a startup packet a second, and comes back when it is turned away.
class SlowClients {
 public:
  SlowClients(std::uint16_t port, std::size_t clients)
      : since_(clients), said_(clients), swarm_(port, clients, [this](std::size_t number, Swarm::Event event) {
          if (event == Swarm::Event::kConnected) {
            since_[number] = monotonic_now();
            said_[number] = 0;
          }
          if (event != Swarm::Event::kEnded) return;
          ++ended_;
          if (since_[number] != Instant{}) ages_ms_.push_back(milliseconds(monotonic_now() - since_[number]));
          since_[number] = {};
        }) {}

  void run(Duration time, bool come_back) {
    const Instant until = monotonic_now() + time;
    for (std::size_t slice = 0; monotonic_now() < until && (come_back || swarm_.open_count() > 0); ++slice) {
      const Instant next = monotonic_now() + 1s / static_cast<int>(kSlices);
      for (std::size_t number = slice % kSlices; number < since_.size(); number += kSlices) drip(number, come_back);
      do {
        swarm_.turn(1ms);
      } while (monotonic_now() < next);
    }
  }

  [[nodiscard]] std::size_t open_count() const { return swarm_.open_count(); }
  [[nodiscard]] std::size_t opened() const { return opened_; }
  [[nodiscard]] std::size_t ended() const { return ended_; }
  [[nodiscard]] std::vector<double> ages_ms() { return std::move(ages_ms_); }

 private:
  static constexpr std::size_t kSlices = 100;

  void drip(std::size_t number, bool come_back) {
    static const std::string packet = startup_message(0, std::string(2000, 'x'));
    if (!swarm_.is_open(number) && come_back) {
      ++opened_;
      swarm_.open(number, {});
    } else if (since_[number] != Instant{}) {
      swarm_.write(number, packet.substr(said_[number]++, 1));
    }
  }

  std::vector<Instant> since_;  // it was connected; none: it is not
  std::vector<std::size_t> said_;
  Swarm swarm_;
  std::size_t opened_ = 0;
  std::size_t ended_ = 0;
  std::vector<double> ages_ms_;
};

void slow_clients_come(std::size_t clients, const CrowdOptions& options, CrowdReport& report) {
  constexpr Duration kLoginTimeout = 3s;
  Single single({"login_timeout = \"" + format_duration(kLoginTimeout) + "\""});
  const ResidentMemory memory(single.pgkeel.pid());
  Stopwatch logins(single.pgkeel.port(), Stopwatch::Work::kLogins);
  std::this_thread::sleep_for(kQuiet);
  const auto before = logins.take();
  const double quiet_bytes = memory.bytes();
  memory.begin_peak();
  SlowClients slow(single.pgkeel.port(), clients);
  slow.run(std::chrono::seconds(options.seconds), true);
  const auto during = logins.take();
  slow.run(kBrokenAfter, false);
  report.figures["of_" + std::to_string(clients)] = {
      {"login_timeout", format_duration(kLoginTimeout)},
      {"connects", slow.opened()},
      {"turned_away", slow.ended()},
      {"turned_away_after", spread_ms(slow.ages_ms())},
      {"login_before", spread_ms(before)},
      {"login_during", spread_ms(during)},
      {"resident_bytes", {{"before", quiet_bytes}, {"peak", memory.peak_bytes()}, {"behind", memory.bytes()}}}};
  if (slow.open_count() > 0)
    report.failures.push_back(std::to_string(slow.open_count()) + " slow clients were never turned away");
  if (during.empty()) report.failures.emplace_back("no client got in beside the slow ones");
}

}  // namespace

CrowdReport run_flood(const CrowdOptions& options) {
  Single single({"max_client_connections = 8"});
  const ResidentMemory memory(single.pgkeel.pid());
  Stopwatch round_trips(single.pgkeel.port(), Stopwatch::Work::kRoundTrips);
  std::this_thread::sleep_for(kQuiet);
  const auto before = round_trips.take();
  const double quiet_bytes = memory.bytes();
  memory.begin_peak();
  Flood flood(single.pgkeel.port());
  flood.run(options.connects_per_second, std::chrono::seconds(options.seconds));
  const auto during = round_trips.take();
  CrowdReport report;
  report.figures = {
      {"connects_per_second_wanted", options.connects_per_second},
      {"connects_per_second", flood.rate()},
      {"outcomes", flood.outcomes()},
      {"errors", flood.failures()},
      {"answer", spread_ms(flood.answers_ms())},
      {"established_session_before", spread_ms(before)},
      {"established_session_during", spread_ms(during)},
      {"resident_bytes", {{"before", quiet_bytes}, {"peak", memory.peak_bytes()}, {"behind", memory.bytes()}}}};
  for (const auto& [what, count] : flood.failures())
    report.failures.push_back(what + " (" + std::to_string(count) + ")");
  return report;
}

CrowdReport run_slow_clients(const CrowdOptions& options) {
  CrowdReport report;
  slow_clients_come(std::min(kSilentWithinRoom, options.slow_clients), options, report);
  if (options.slow_clients > kSilentWithinRoom) slow_clients_come(options.slow_clients, options, report);
  return report;
}

}  // namespace pgkeel::test
