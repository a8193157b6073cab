// The files in a data directory that make it a standby of another server. Job threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/upstream_access.h"

namespace pgkeel {

// Writes them durably into `target`: the directory itself, or the one that will take its place. `port`: where the
// node has no configuration of its own, and that of the upstream came along.
Result<void> write_standby_files(const DataDirectory& directory, const std::string& target,
                                 const UpstreamAccess& upstream, const std::string& node,
                                 std::optional<std::uint16_t> port);

}  // namespace pgkeel
