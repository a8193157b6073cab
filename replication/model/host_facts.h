// What the host of a node says of itself: pgkeel's own where the node is local, through the node's agent elsewhere.
// Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pgkeel {

// One file system, by what of the server is on it.
struct DiskFacts {
  std::string holds;  // "data directory", "pg_wal", "tablespace"
  std::string path;
  std::uint64_t free_bytes = 0;  // for others than root
  std::uint64_t total_bytes = 0;
};

struct HostFacts {
  std::vector<DiskFacts> disks;              // that of the data directory first
  std::uint64_t memory_available_bytes = 0;  // without swapping; 0, as the total: not known
  std::uint64_t memory_total_bytes = 0;
  bool data_directory_is_mount_point = false;
  bool data_directory_is_empty = false;  // or there is none
  bool parent_is_writable = true;        // a rebuild makes a folder beside the data directory
  std::string postgres_version;          // of bin_directory: "15.14"; empty: its postgres cannot be run
  std::vector<std::string> missing_programs;
  std::map<std::string, std::string> other_versions;  // programs of bin_directory that are of another version
};

}  // namespace pgkeel
