#include "proxy/io/random_id.h"

#include <array>
#include <cassert>
#include <cstdint>
#include <sys/random.h>

namespace pgkeel {

std::string random_id() {
  std::array<std::uint8_t, 16> bytes{};
  // So few bytes come at once, or the kernel has no randomness at all.
  [[maybe_unused]] const auto count = getrandom(bytes.data(), bytes.size(), 0);
  assert(count == static_cast<ssize_t>(bytes.size()));
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const auto byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

}  // namespace pgkeel
