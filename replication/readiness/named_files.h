// The files that a server's settings name, looked for on its own host. Reads only. Blocks as long as a file system
// does: job threads and commands, never a loop.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "replication/readiness/facts.h"

namespace pgkeel {

// Those that are not there: "ssl_key_file: /etc/…".
std::vector<std::string> missing_named_files(const std::string& data_directory,
                                             const std::map<std::string, SettingFacts>& settings);

}  // namespace pgkeel
