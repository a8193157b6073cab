// The quarantine: what a diverged node alone had is kept there before the node is rewound or rebuilt (rule 4). One
// folder for each divergence, `<directory>/<node>-<UTC time>/`, with `report.json` and, unless the data directory
// itself is moved aside, a whole copy of it in `data`. The report is written last: a folder without it is incomplete
// and nobody's only copy. Job threads; one rejoin of a node at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {

// How a node's history parted from that of its cluster.
struct Divergence {
  std::string node;
  std::string system_identifier;
  Timeline timeline = 0;
  std::optional<Lsn> wal_end;  // none: not known
  std::string upstream;
  Timeline upstream_timeline = 0;
  std::optional<Lsn> fork;  // from here on the node is alone
  std::string reason;       // one line
};

class Quarantine {
 public:
  // `folder` empty: `pgkeel-quarantine` beside the data directory.
  Quarantine(std::string folder, const DataDirectory& directory);

  // A complete copy that was made for the same divergence, by a rejoin that then failed.
  [[nodiscard]] std::optional<std::string> find(const Divergence& divergence) const;

  // Copies the stopped data directory, tablespaces and all. Refuses where there is no room for it.
  Result<std::string> copy(const Divergence& divergence, const std::string& time_stamp) const;

  // Only the report: the data directory itself will be `moved_aside`.
  Result<std::string> report_moved(const Divergence& divergence, const std::string& time_stamp,
                                   const std::string& moved_aside) const;

 private:
  Result<std::string> make_folder(const std::string& node, const std::string& time_stamp) const;
  Result<void> check_room() const;
  Result<void> copy_linked_folders(const std::string& copied_data) const;
  void remove_incomplete(const std::string& node) const;

  std::string folder_;
  const DataDirectory& directory_;
};

// Bytes on the disk of a folder with all below it. Links to folders in it (tablespaces, pg_wal) are followed once.
std::uint64_t disk_bytes_of(const std::string& folder);

}  // namespace pgkeel
