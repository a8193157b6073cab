// Thousands of sessions lose their primary in the same moment, and all come back at once.
#include <algorithm>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

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

constexpr std::size_t kOpeningAtOnce = 64;  // before the failover
constexpr Duration kBrokenAfter = 10min;

std::string session_name(std::size_t number) {
  return "crowd " + std::to_string(number);
}

std::string startup_of(std::size_t number) {
  return untyped(int16_bytes(3) + int16_bytes(0) + zero_terminated("user") + zero_terminated("postgres") +
                 zero_terminated("database") + zero_terminated("postgres") + zero_terminated("application_name") +
                 zero_terminated(session_name(number)) + '\0');
}

class Crowd {
 public:
  Crowd(std::uint16_t port, std::size_t sessions)
      : sessions_(sessions),
        swarm_(port, sessions, [this](std::size_t number, Swarm::Event event) { take(number, event); }) {}

  void open_all() {
    for (std::size_t next = 0; ready_ < sessions_.size() && failures_.empty();) {
      for (; next < sessions_.size() && next < ready_ + kOpeningAtOnce; ++next) swarm_.open(next, startup_of(next));
      swarm_.turn(100ms);
    }
  }

  // From the failure of the primary on, which the caller brings about meanwhile.
  void come_back() {
    primary_fails_ = true;
    ready_ = 0;
    arrivals_ = 0;
    first_ready_ = {};
    const Instant limit = monotonic_now() + kBrokenAfter;
    while (ready_ < sessions_.size() && monotonic_now() < limit) swarm_.turn(100ms);
    if (ready_ < sessions_.size())
      failures_[std::to_string(sessions_.size() - ready_) + " sessions did not come back"] = 1;
  }

  [[nodiscard]] std::size_t arrival(std::size_t number) const { return sessions_[number].arrival; }
  [[nodiscard]] const std::map<std::string, std::size_t>& last_words() const { return last_words_; }
  [[nodiscard]] const std::map<std::string, std::size_t>& failures() const { return failures_; }
  [[nodiscard]] Instant first_end() const { return first_end_; }
  [[nodiscard]] Instant last_end() const { return last_end_; }
  [[nodiscard]] Instant first_ready() const { return first_ready_; }
  [[nodiscard]] Instant last_ready() const { return last_ready_; }

 private:
  struct Session {
    bool established = false;
    bool was_told = false;
    std::size_t arrival = 0;  // the how manieth to say that it is back
  };

  void take(std::size_t number, Swarm::Event event) {
    if (event == Swarm::Event::kConnected) sessions_[number].arrival = arrivals_++;
    if (event == Swarm::Event::kHeard) hear(number);
    if (event == Swarm::Event::kEnded) lose(number);
  }

  void hear(std::size_t number) {
    std::string& heard = swarm_.heard(number);
    Session& session = sessions_[number];
    std::size_t whole = 0;
    for (const auto& each : split_messages(heard)) {
      if (each.type == '?') break;
      whole += each.body.size() + 5;
      if (each.type == 'E') refuse_or_end(session, each);
      if (each.type != 'Z' || session.established) continue;
      session.established = true;
      ++ready_;
      last_ready_ = monotonic_now();
      if (first_ready_ == Instant{}) first_ready_ = last_ready_;
    }
    heard.erase(0, whole);
  }

  void refuse_or_end(Session& session, const Heard& error) {
    const std::string words = error.field('C') + ": " + error.field('M');
    if (session.established && primary_fails_ && words.starts_with("57P01: terminating connection: ")) {
      session.was_told = true;
      ++last_words_[words];
      return;
    }
    ++failures_[words];
  }

  void lose(std::size_t number) {
    Session& session = sessions_[number];
    if (!session.established)
      ++failures_["turned away without a word, on the way back"];
    else if (!session.was_told)
      ++failures_["ended without an error"];
    else if (swarm_.error(number) != 0)
      ++failures_["reset behind the error"];
    if (!session.established) {
      swarm_.open(number, startup_of(number));
      return;
    }
    last_end_ = monotonic_now();
    if (first_end_ == Instant{}) first_end_ = last_end_;
    session = {};
    swarm_.open(number, startup_of(number));
  }

  std::vector<Session> sessions_;
  Swarm swarm_;
  bool primary_fails_ = false;
  std::size_t ready_ = 0;
  std::size_t arrivals_ = 0;
  std::map<std::string, std::size_t> last_words_;
  std::map<std::string, std::size_t> failures_;
  Instant first_end_{}, last_end_{}, first_ready_{}, last_ready_{};
};

// How far the order in which the server got the sessions is that in which they came back.
nlohmann::ordered_json order_of(const PostgresServer& server, const Crowd& crowd, std::size_t sessions) {
  const Rows rows = server.query(
      "SELECT substr(application_name, 7) FROM pg_stat_activity WHERE application_name LIKE 'crowd %' ORDER BY "
      "backend_start, pid");
  std::vector<std::size_t> arrivals;
  arrivals.reserve(rows.size());
  for (const auto& row : rows) arrivals.push_back(crowd.arrival(std::stoul(row[0].value())));
  std::vector<std::size_t> in_order = arrivals;
  std::ranges::sort(in_order);
  double squares = 0;
  double most_overtaken = 0;
  double sum_overtaken = 0;
  for (std::size_t rank = 0; rank < arrivals.size(); ++rank) {
    const auto place = std::ranges::lower_bound(in_order, arrivals[rank]) - in_order.begin();
    const double later = static_cast<double>(rank) - static_cast<double>(place);  // let in, than it came back
    squares += later * later;
    most_overtaken = std::max(most_overtaken, later);
    sum_overtaken += std::max(0.0, later);
  }
  const auto count = static_cast<double>(rows.size());
  return {{"sessions_on_the_new_primary", rows.size()},
          {"sessions_missing_there", sessions - rows.size()},
          {"rank_correlation", 1 - 6 * squares / (count * (count * count - 1))},
          {"places_lost_mean", sum_overtaken / count},
          {"places_lost_most", most_overtaken}};
}

}  // namespace

CrowdReport run_failover(const CrowdOptions& options) {
  const ServerOptions server = {.settings = {"max_connections = " + std::to_string(options.sessions + 100),
                                             "shared_buffers = 32MB", "fsync = off", "max_wal_senders = 5"}};
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a", server);
  const auto standby = PostgresServer::standby_of(*primary, "b", server);
  PgkeelProcess pgkeel(folder, {primary.get(), standby.get()},
                       {.proxy_lines = {"max_client_connections = " + std::to_string(options.sessions + 100),
                                        "login_rate = " + std::to_string(options.login_rate)},
                        .log_level = "info"});
  pgkeel.start();
  if (!pgkeel.wait_normal("a")) throw std::runtime_error(pgkeel.describe());
  const ResidentMemory memory(pgkeel.pid());
  const double alone = memory.bytes();
  Crowd crowd(pgkeel.port(), options.sessions);
  crowd.open_all();
  std::cerr << "failover: " << options.sessions << " sessions are open\n";
  const double established = memory.bytes();
  memory.begin_peak();
  std::jthread failure([&] { primary->kill_tree(); });
  crowd.come_back();
  failure.join();

  const auto milliseconds = [](Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  };
  CrowdReport report;
  report.figures = {{"sessions", options.sessions},
                    {"login_rate", options.login_rate},
                    {"told_within_ms", milliseconds(crowd.last_end() - crowd.first_end())},
                    {"first_back_after_ms", milliseconds(crowd.first_ready() - crowd.first_end())},
                    {"last_back_after_ms", milliseconds(crowd.last_ready() - crowd.first_end())},
                    {"logins_per_second", static_cast<double>(options.sessions - 1) * 1000 /
                                              milliseconds(crowd.last_ready() - crowd.first_ready())},
                    {"last_words", crowd.last_words()},
                    {"errors", crowd.failures()},
                    {"order", order_of(*standby, crowd, options.sessions)},
                    {"resident_bytes", {{"alone", alone}, {"established", established}, {"peak", memory.peak_bytes()}}},
                    {"resident_bytes_per_session", (established - alone) / static_cast<double>(options.sessions)}};
  for (const auto& [what, count] : crowd.failures())
    report.failures.push_back(what + " (" + std::to_string(count) + ")");
  if (report.figures["order"]["sessions_missing_there"] != 0)
    report.failures.push_back("not every session is on the new primary");
  return report;
}

}  // namespace pgkeel::test
