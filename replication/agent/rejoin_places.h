// The folders that a rebuild fills: the new data directory, its log and its tablespaces where they are elsewhere. They
// are noted beside the data directory (`<data_directory>.pgkeel-places`) before they are made, so that what a rebuild
// that failed or was killed left behind goes before the next one. Nothing else ever does: only a folder that is, by its
// inode, the one that was made here, and that the data directory does not use. Job threads; one rejoin of a node at a
// time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {

class RejoinPlaces {
 public:
  explicit RejoinPlaces(const DataDirectory& directory);

  // Makes these folders, empty, for the server's user; an error where one is there already. Where it fails, remove()
  // removes those that it made.
  Result<void> make(const std::vector<std::string>& paths) const;

  // Removes what is noted; one line for each that stays. What could not be removed stays noted, what is not ours (any
  // more) does not.
  [[nodiscard]] std::vector<std::string> remove() const;

  // They are in use from now on.
  Result<void> forget() const;

 private:
  struct Place {
    std::string path;
    std::uint64_t inode = 0;  // 0: not made yet, as far as was noted
  };
  [[nodiscard]] Result<std::vector<Place>> noted() const;
  Result<void> note(const std::vector<Place>& places) const;
  [[nodiscard]] Result<std::uint64_t> make_folder(const std::string& path) const;  // its inode
  [[nodiscard]] bool is_used(const std::string& path) const;

  const DataDirectory& directory_;
  std::string file_;
};

}  // namespace pgkeel
