// Random inputs from a seed. PGKEEL_FUZZ_SEED plays one seed again, PGKEEL_FUZZ_ROUNDS asks for more than the suite's
// few rounds.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include <doctest/doctest.h>

namespace pgkeel::test {

class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}

  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(generator_); }
  bool one_in(std::size_t chances) { return below(chances) == 0; }

  // Mostly short, sometimes around the limits that matter, rarely long.
  std::size_t length() {
    if (one_in(20)) return 60'000 + below(12'000);
    if (one_in(8)) return 8170 + below(30);
    return below(200);
  }
  std::string bytes(std::size_t count) {
    std::string text;
    for (std::size_t at = 0; at < count; ++at) text += static_cast<char>(below(256));
    return text;
  }
  template <class Choices>
  auto one_of(const Choices& choices) {
    return choices[below(std::size(choices))];
  }
  // Flips, inserts and removes a few bytes.
  void damage(std::string& text) {
    for (std::size_t times = 1 + below(4); times > 0 && !text.empty(); --times) {
      const std::size_t at = below(text.size());
      switch (below(3)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.insert(at, bytes(1 + below(8)));
          break;
        default:
          text.erase(at, 1 + below(8));
          break;
      }
    }
  }

 private:
  std::mt19937_64 generator_;
};

// Calls round(seed) for each seed; a failing one is named.
template <class Round>
void for_seeds(std::uint64_t rounds, Round&& round) {
  const auto number = [](const char* name) -> std::uint64_t {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  };
  if (const std::uint64_t seed = number("PGKEEL_FUZZ_SEED"); seed != 0) {
    INFO("PGKEEL_FUZZ_SEED=", seed);
    round(seed);
    return;
  }
  if (const std::uint64_t wanted = number("PGKEEL_FUZZ_ROUNDS"); wanted != 0) rounds = wanted;
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    INFO("PGKEEL_FUZZ_SEED=", seed);
    round(seed);
  }
}

}  // namespace pgkeel::test
