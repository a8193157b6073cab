// Looks at a server's host: disks, memory, the programs of its bin_directory. Reads only, and runs `--version`. Blocks
// as long as a file system does: job threads, never a loop.
#pragma once

#include "config/config.h"
#include "replication/model/host_facts.h"

namespace pgkeel {

HostFacts look_at_host(const LocalServerConfig& local);

}  // namespace pgkeel
