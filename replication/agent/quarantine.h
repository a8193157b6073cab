// The quarantine: what a diverged node alone had is kept there before the node is rewound or rebuilt (rule 4). One
// folder for each divergence, `<directory>/<node>-<UTC time>/`, with `report.json` and, unless the data directory
// itself is moved aside, a whole copy of it in `data`. The report is written last: a folder without it is incomplete
// and nobody's only copy. Job threads; one rejoin of a node at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/room.h"

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
  Timeline fork_timeline = 0;
  std::string reason;  // one line
};

// In each folder: of whose data directory it is, and how old the entry is (quarantine_age.h).
constexpr const char* kQuarantineSourceFile = "data_directory";
constexpr const char* kQuarantineAgeFile = "age.json";
// In a report: when and why what the entry kept was removed.
constexpr const char* kQuarantineRemoved = "removed";

class Quarantine {
 public:
  // `folder` empty: `pgkeel-quarantine` beside the data directory.
  Quarantine(std::string folder, const DataDirectory& directory);

  [[nodiscard]] const std::string& folder() const { return folder_; }

  // A complete copy, or an export in its place, that was made for the same divergence, by a rejoin that then failed.
  [[nodiscard]] std::optional<std::string> find(const Divergence& divergence) const;

  // Whether this entry has its copy, or its export, still.
  [[nodiscard]] bool keeps(const std::string& quarantine) const;

  // Copies the stopped data directory, tablespaces and all. Refuses where there is no room for what shares no blocks;
  // where it fails, nothing stays. `say` is told how much is done where it takes long.
  Result<std::string, PlacingError> copy(const Divergence& divergence, const std::string& time_stamp,
                                         const std::function<void(const std::string&)>& say = {}) const;

  // Only the report: the data directory itself will be `moved_aside`. Called again for the same divergence, by a rejoin
  // that was cut off or failed before, it says only anew where.
  Result<std::string> report_moved(const Divergence& divergence, const std::string& time_stamp,
                                   const std::string& moved_aside) const;

  // A folder for an export that is made in place of a copy, and its report. The one of an export that was cut off is
  // gone on with, and its report reaches from now on as far as the log does.
  Result<std::string> begin_export(const Divergence& divergence, const std::string& time_stamp) const;
  // The server was opened for the export: what it wrote by that into its log is no divergence of its own.
  static Result<void> note_wal_end(const std::string& quarantine, Lsn wal_end);

  // A copy that was cut off holds nothing that the data directory does not hold still: it goes.
  void remove_incomplete(const std::string& node) const;

 private:
  Result<std::string> make_folder(const std::string& node, const std::string& time_stamp) const;
  Result<void> own_folder(const std::string& made) const;
  Result<std::string> make_report(const Divergence& divergence, const std::string& time_stamp,
                                  const std::string& data) const;
  [[nodiscard]] Result<void, PlacingError> fill(const std::string& made, const Divergence& divergence,
                                                const std::string& time_stamp,
                                                const std::function<void(const std::string&)>& say) const;

  std::string folder_;
  const DataDirectory& directory_;
};

// With its log and its tablespaces where they are linked: the copy stands alone.
// `each_second`: see ProgramCall.
Result<void, PlacingError> copy_data_directory(const DataDirectory& directory, const std::string& copy,
                                               const std::function<void()>& each_second = {});

}  // namespace pgkeel
