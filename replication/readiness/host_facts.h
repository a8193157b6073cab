// What a host knows of the server on it, for readiness: disks, files, programs. Reads only. Blocks as long as a file
// system does: job threads and commands, never a loop. Called by whoever is on that host.
#pragma once

#include <map>
#include <string>

#include "config/config.h"
#include "replication/readiness/facts.h"

namespace pgkeel {

// `settings`: of the server, where it could be asked; they name the files.
HostFacts look_at_host(const LocalServerConfig& local, const std::map<std::string, SettingFacts>& settings);

}  // namespace pgkeel
