// simulation --schedules N [--first SEED] [--jobs N] [--failures N] [--mutant NAME]
//                                                      plays N schedules on all processors, or on N of them; it ends
//                                                      where so many (else one) have broken a rule
// simulation --seed N [--mutant NAME]                  plays one, and prints its events
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include "replication/decide/transitions.h"
#include "tests/simulation/schedule.h"

using namespace pgkeel;
using namespace pgkeel::simulation;

namespace {

thread_local char seed_of_this_thread[64];

// An assertion of the controller failed: say in which schedule.
void tell_seed(int) {
  const char text[] = "\naborted in the schedule of seed ";
  (void)!write(STDERR_FILENO, text, sizeof text - 1);
  (void)!write(STDERR_FILENO, seed_of_this_thread, std::strlen(seed_of_this_thread));
  (void)!write(STDERR_FILENO, "\n", 1);
}

ScheduleResult play_seed(std::uint64_t seed, Mutant mutant, bool traced) {
  std::snprintf(seed_of_this_thread, sizeof seed_of_this_thread, "%llu", static_cast<unsigned long long>(seed));
  return play(seed, mutant, traced);
}

struct Totals {
  std::atomic<std::uint64_t> schedules{0};
  std::atomic<std::uint64_t> decisions{0};
  std::atomic<std::uint64_t> failovers{0};
  std::atomic<std::uint64_t> promised_writes{0};
  std::mutex lock;                                  // of what follows
  std::map<std::int64_t, std::uint64_t> hangs;      // commits that hung so many seconds at most: schedules
  std::map<std::size_t, std::uint64_t> rows;        // of the transition table: how many schedules took it
  std::map<std::uint64_t, std::string> violations;  // by seed
  std::map<std::uint64_t, std::string> given_up;    // likewise: why there is no verdict
};

struct Span {
  std::uint64_t first = 1;
  std::uint64_t count = 1000;
  std::uint64_t most_failures = 1;
  Mutant mutant = Mutant::kNone;
};

void play_many(const Span& span, std::atomic<std::uint64_t>& next, Totals& totals) {
  while (true) {
    const std::uint64_t number = next.fetch_add(1);
    if (number >= span.count) return;
    const std::uint64_t seed = span.first + number;
    const ScheduleResult result = play_seed(seed, span.mutant, false);
    totals.schedules += 1;
    totals.decisions += result.decisions;
    totals.failovers += result.failovers;
    totals.promised_writes += result.promised_writes;
    const std::lock_guard<std::mutex> held(totals.lock);
    for (const std::size_t row : result.reached.rows) totals.rows[row] += 1;
    if (result.longest_hang) totals.hangs[std::chrono::ceil<std::chrono::seconds>(*result.longest_hang).count()] += 1;
    if (!result.given_up.empty()) totals.given_up[seed] = result.given_up;
    if (result.violation.empty()) continue;
    totals.violations[seed] = result.violation;
    if (totals.violations.size() >= span.most_failures) next = span.count;
  }
}

int play_schedules(const Span& span, std::uint64_t jobs) {
  std::atomic<std::uint64_t> next{0};
  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < jobs; ++i) threads.emplace_back([&] { play_many(span, next, totals); });
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf(
      "%llu schedules, seeds %llu and on (%llu without a verdict): %llu failovers, %llu promised writes, %llu "
      "decisions, %.1f s\n",
      static_cast<unsigned long long>(totals.schedules), static_cast<unsigned long long>(span.first),
      static_cast<unsigned long long>(totals.given_up.size()), static_cast<unsigned long long>(totals.failovers),
      static_cast<unsigned long long>(totals.promised_writes), static_cast<unsigned long long>(totals.decisions),
      seconds);
  std::printf("commits hung for at most");
  for (const auto& [seconds_at_most, schedules] : totals.hangs)
    std::printf(" %llds: %llu,", static_cast<long long>(seconds_at_most), static_cast<unsigned long long>(schedules));
  std::printf(" of the schedules with one fault at a time under durability = available\n");
  for (std::size_t row = 0; row < transitions().size(); ++row) {
    const Transition& taken = transitions()[row];
    std::printf("%10llu  %s -> %s: %s\n", static_cast<unsigned long long>(totals.rows[row]), phase_name(taken.from),
                phase_name(taken.to), taken.why);
  }
  for (const auto& [seed, reason] : totals.given_up)
    std::printf("seed %llu has no verdict: %s\n", static_cast<unsigned long long>(seed), reason.c_str());
  for (const auto& [seed, violation] : totals.violations)
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
  if (totals.violations.empty()) return 0;
  std::printf("to replay it: simulation --seed %llu\n",
              static_cast<unsigned long long>(totals.violations.begin()->first));
  return 1;
}

int replay(std::uint64_t seed, Mutant mutant) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // an assertion that fails ends it as it is
  const ScheduleResult result = play_seed(seed, mutant, true);
  const std::string verdict = !result.violation.empty()  ? result.violation
                              : !result.given_up.empty() ? "no verdict: " + result.given_up
                                                         : "every rule held";
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), verdict.c_str());
  return result.violation.empty() ? 0 : 1;
}

std::optional<Mutant> mutant_of(std::string_view name) {
  for (const Mutant mutant : kAllMutants) {
    if (name == mutant_name(mutant)) return mutant;
  }
  return std::nullopt;
}

int usage() {
  std::fprintf(stderr,
               "usage: simulation --schedules N [--first SEED] [--jobs N] [--failures N] [--mutant NAME]\n"
               "       simulation --seed N [--mutant NAME]\n");
  return 2;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGABRT, tell_seed);
  Span span;
  std::uint64_t jobs = std::max(1U, std::thread::hardware_concurrency());
  std::optional<std::uint64_t> seed;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view key = words[i];
    const std::string_view value = words[i + 1];
    if (key == "--mutant") {
      const auto found = mutant_of(value);
      if (!found) return usage();
      span.mutant = *found;
      continue;
    }
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size()) return usage();
    if (key == "--schedules") {
      span.count = number;
    } else if (key == "--first") {
      span.first = number;
    } else if (key == "--failures") {
      span.most_failures = number;
    } else if (key == "--jobs") {
      jobs = number;
    } else if (key == "--seed") {
      seed = number;
    } else {
      return usage();
    }
  }
  if (count % 2 == 0 || jobs == 0) return usage();
  return seed ? replay(*seed, span.mutant) : play_schedules(span, jobs);
}
