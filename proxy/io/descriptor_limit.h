// The system's limit on this process's descriptors (RLIMIT_NOFILE).
#pragma once

#include <cstddef>
#include <cstdint>

namespace pgkeel {

// Raises the soft limit as far as the system lets us; returns what holds then. Before the first thread.
std::uint64_t raise_descriptor_limit();

// Between fork and exec: the program gets the limit that we were started with, because some (PostgreSQL among them)
// derive their own use of descriptors from it. Async-signal-safe.
void restore_descriptor_limit();

// The limit of this process now.
std::uint64_t descriptor_limit();

// How many connections may have asked an HTTP endpoint of this process for nothing yet (HttpDoor).
constexpr std::size_t door_places(std::uint64_t limit) {
  if (limit >= 16'384) return 512;
  return limit >= 4096 ? 128 : 16;
}

}  // namespace pgkeel
