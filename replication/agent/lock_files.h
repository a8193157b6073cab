// The lock files of a server: postmaster.pid, and that beside its socket. PostgreSQL takes any process with the number
// in them for a running server: a zombie that nobody has reaped (containers without an init), or a stranger who got the
// number after a restart of the machine. Blocking; any job thread.
#pragma once

#include <cstdint>

#include "replication/agent/data_directory.h"

namespace pgkeel {

// Of a server that was proven stopped. False: somebody has just started it; its files stay as they are.
bool remove_stale_lock_files(const DataDirectory& directory, std::uint16_t port);

}  // namespace pgkeel
