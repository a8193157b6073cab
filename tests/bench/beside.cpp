#include "tests/bench/beside.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "proxy/io/clock.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

}  // namespace

void ResidentMemory::begin_peak() const {
  std::ofstream("/proc/" + std::to_string(process_) + "/clear_refs") << "5";
}

double ResidentMemory::field(const std::string& name) const {
  std::ifstream file("/proc/" + std::to_string(process_) + "/status");
  for (std::string word; file >> word;) {
    double kibibytes = 0;
    if (word == name && file >> kibibytes) return kibibytes * 1024;
  }
  throw std::runtime_error("pgkeel has ended");
}

Stopwatch::Stopwatch(std::uint16_t port, Work work) : port_(port) {
  if (work == Work::kRoundTrips) session_.emplace(port);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Stopwatch::run(const std::stop_token& stop) {
  try {
    while (!stop.stop_requested()) {
      const Instant began = monotonic_now();
      if (session_)
        session_->query("SELECT 1");
      else
        BenchConnection(port_).query("SELECT 1");
      const double took = std::chrono::duration<double, std::milli>(monotonic_now() - began).count();
      {
        const std::lock_guard lock(mutex_);
        took_ms_.push_back(took);
      }
      std::this_thread::sleep_for(1ms);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    problem_ = std::current_exception();
  }
}

std::vector<double> Stopwatch::take() {
  const std::lock_guard lock(mutex_);
  if (problem_) std::rethrow_exception(problem_);
  return std::exchange(took_ms_, {});
}

nlohmann::ordered_json spread_ms(std::vector<double> values) {
  if (values.empty()) return {{"count", 0}};
  std::ranges::sort(values);
  return {{"count", values.size()},
          {"p50_ms", values[values.size() / 2]},
          {"p99_ms", values[(values.size() - 1) * 99 / 100]},
          {"max_ms", values.back()}};
}

}  // namespace pgkeel::test
