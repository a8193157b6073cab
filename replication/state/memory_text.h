// ClusterMemory as the text of a state file, and back. Pure. The format is described in FORMAT.md.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "replication/model/cluster_memory.h"

namespace pgkeel {

std::string write_memory(const std::string& cluster, const ClusterMemory& memory);

// Refuses what is damaged, of a newer format, or of another cluster; the error says which.
Result<ClusterMemory> read_memory(const std::string& cluster, std::string_view text);

// CRC-32 of a text, as eight hexadecimal digits: tells damage, not malice.
std::string checksum_of(std::string_view text);

}  // namespace pgkeel
