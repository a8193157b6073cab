// What a fuzzing target makes of the bytes that it was given, and how it says that something is wrong with what they
// led to. A target is one function, LLVMFuzzerTestOneInput: libFuzzer calls it with inputs of its own (tests/fuzz/run),
// and replay_main.cpp with those of tests/fuzz/corpus.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pgkeel::fuzz {

// Takes the input apart from its beginning on; where it has ended everything is zero, or empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::size_t number() {  // two bytes
    const std::size_t high = byte();
    return high << 8 | byte();
  }
  std::string_view bytes(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // With its length in front, in one byte or in two.
  std::string_view short_text() { return bytes(byte()); }
  std::string_view text() { return bytes(number()); }
  std::string_view all() { return bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// Ends the process, which is how a finding is told.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

}  // namespace pgkeel::fuzz
