// Randomness of the simulation: the same numbers for the same seed, on every machine. Tests only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "proxy/base/time.h"

namespace pgkeel::simulation {

// xoshiro256**, its state filled by splitmix64 (Blackman and Vigna; both are in the public domain).
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) word = splitmix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }
  double fraction() { return static_cast<double>(next() >> 11) / static_cast<double>(1ULL << 53); }
  bool chance(double probability) { return fraction() < probability; }
  Duration between(Duration least, Duration most) {
    const auto span = static_cast<std::uint64_t>((most - least).count()) + 1;
    return least + Duration(static_cast<Duration::rep>(next() % span));
  }

 private:
  static std::uint64_t rotate(std::uint64_t word, int bits) { return (word << bits) | (word >> (64 - bits)); }
  static std::uint64_t splitmix(std::uint64_t& seed) {
    std::uint64_t mixed = (seed += 0x9e3779b97f4a7c15ULL);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
  }

  std::uint64_t state_[4];
};

}  // namespace pgkeel::simulation
