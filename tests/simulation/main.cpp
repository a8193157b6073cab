// simulation --schedules N [--first SEED] [--jobs N]   plays N schedules; the first that breaks a rule ends it
// simulation --seed N [--mutant NAME]                  plays one, and prints its events
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
  std::atomic<std::uint64_t> given_up{0};
  std::atomic<std::uint64_t> decisions{0};
  std::atomic<std::uint64_t> failovers{0};
  std::atomic<std::uint64_t> promised_writes{0};
  std::mutex lock;                            // of what follows
  std::map<std::size_t, std::uint64_t> rows;  // of the transition table: how many schedules took it
  std::optional<std::uint64_t> failing_seed;
  std::string violation;
};

void play_many(std::uint64_t first, std::uint64_t count, std::atomic<std::uint64_t>& next, Totals& totals) {
  while (true) {
    const std::uint64_t number = next.fetch_add(1);
    if (number >= count) return;
    const ScheduleResult result = play_seed(first + number, Mutant::kNone, false);
    totals.schedules += 1;
    totals.given_up += result.given_up ? 1 : 0;
    totals.decisions += result.decisions;
    totals.failovers += result.failovers;
    totals.promised_writes += result.promised_writes;
    const std::lock_guard<std::mutex> held(totals.lock);
    for (const std::size_t row : result.reached.rows) totals.rows[row] += 1;
    if (result.violation.empty()) continue;
    if (!totals.failing_seed || first + number < *totals.failing_seed) {
      totals.failing_seed = first + number;
      totals.violation = result.violation;
    }
    next = count;
  }
}

int play_schedules(std::uint64_t first, std::uint64_t count, std::uint64_t jobs) {
  std::atomic<std::uint64_t> next{0};
  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < jobs; ++i) threads.emplace_back([&] { play_many(first, count, next, totals); });
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf(
      "%llu schedules, seeds %llu and on (%llu without a verdict): %llu failovers, %llu promised writes, %llu "
      "decisions, %.1f s\n",
      static_cast<unsigned long long>(totals.schedules), static_cast<unsigned long long>(first),
      static_cast<unsigned long long>(totals.given_up), static_cast<unsigned long long>(totals.failovers),
      static_cast<unsigned long long>(totals.promised_writes), static_cast<unsigned long long>(totals.decisions),
      seconds);
  for (std::size_t row = 0; row < transitions().size(); ++row) {
    const Transition& taken = transitions()[row];
    std::printf("%10llu  %s -> %s: %s\n", static_cast<unsigned long long>(totals.rows[row]), phase_name(taken.from),
                phase_name(taken.to), taken.why);
  }
  if (!totals.failing_seed) return 0;
  std::printf("seed %llu: %s\nto replay it: simulation --seed %llu\n",
              static_cast<unsigned long long>(*totals.failing_seed), totals.violation.c_str(),
              static_cast<unsigned long long>(*totals.failing_seed));
  return 1;
}

int replay(std::uint64_t seed, Mutant mutant) {
  const ScheduleResult result = play_seed(seed, mutant, true);
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
              result.violation.empty() ? "every rule held" : result.violation.c_str());
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
               "usage: simulation --schedules N [--first SEED] [--jobs N]\n"
               "       simulation --seed N [--mutant NAME]\n");
  return 2;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGABRT, tell_seed);
  std::uint64_t schedules = 1000;
  std::uint64_t first = 1;
  std::uint64_t jobs = 1;
  std::optional<std::uint64_t> seed;
  Mutant mutant = Mutant::kNone;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view key = words[i];
    const std::string_view value = words[i + 1];
    if (key == "--mutant") {
      const auto found = mutant_of(value);
      if (!found) return usage();
      mutant = *found;
      continue;
    }
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size()) return usage();
    if (key == "--schedules") {
      schedules = number;
    } else if (key == "--first") {
      first = number;
    } else if (key == "--jobs") {
      jobs = number;
    } else if (key == "--seed") {
      seed = number;
    } else {
      return usage();
    }
  }
  if (count % 2 == 0 || jobs == 0) return usage();
  return seed ? replay(*seed, mutant) : play_schedules(first, schedules, jobs);
}
