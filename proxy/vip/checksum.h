// The Internet checksum (RFC 1071) of what this host sends by itself. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace pgkeel {

// The one's complement sum; a last odd byte counts as if a zero followed.
inline std::uint32_t checksum_part(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += bytes[i] * 256U + bytes[i + 1];
  if (bytes.size() % 2 == 1) sum += bytes.back() * 256U;
  return sum;
}

// Of the sum of all parts.
inline std::uint16_t checksum_of(std::uint32_t sum) {
  while (sum > 0xFFFFU) sum = (sum & 0xFFFFU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace pgkeel
