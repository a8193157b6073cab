// What stands beside a data directory (`<data_directory>.pgkeel-rejoin/`) while a rejoin changes or replaces it: how
// far that is, and copies of the node's own configuration files, which the upstream's would overwrite. While the marker
// is there the directory may be half of this and half of that: it is never started, and never rewound. Job threads; one
// rejoin of a node at a time.
#pragma once

#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {

enum class RejoinStep {
  kExport,      // it is opened alone, and pages of it may be other than they were: `quarantine` has the export
  kRewind,      // the data directory is being changed in place
  kBasebackup,  // the data directory is not to be used again; a new one is made beside it
  kSwap,        // the new one is complete, and takes its place
};

struct RejoinProgress {
  RejoinStep step = RejoinStep::kRewind;
  std::string quarantine;     // see RejoinReport
  std::string new_directory;  // kSwap
  std::string moved_aside;    // kSwap: where the old one goes
};

class RejoinMarker {
 public:
  explicit RejoinMarker(const DataDirectory& directory);

  [[nodiscard]] const std::string& path() const { return folder_; }
  [[nodiscard]] bool exists() const;
  [[nodiscard]] Result<RejoinProgress> read() const;

  // Copies the node's own files out of the data directory. Before write(): later they may be the upstream's.
  Result<void> save_configuration() const;
  // Puts them into `target`.
  Result<void> restore_configuration(const std::string& target) const;
  [[nodiscard]] bool has_configuration() const;

  Result<void> write(const RejoinProgress& progress) const;  // durable when it returns
  Result<void> remove() const;

 private:
  const DataDirectory& directory_;
  std::string folder_;
};

}  // namespace pgkeel
