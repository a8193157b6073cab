// The system's limit on this process's descriptors (RLIMIT_NOFILE).
#pragma once

#include <cstdint>

namespace pgkeel {

// Raises the soft limit as far as the system lets us; returns what holds then. Before the first thread.
std::uint64_t raise_descriptor_limit();

// Between fork and exec: the program gets the limit that we were started with, because some (PostgreSQL among them)
// derive their own use of descriptors from it. Async-signal-safe.
void restore_descriptor_limit();

}  // namespace pgkeel
