// The folders that a rebuild fills: the new data directory, its log and its tablespaces where they are elsewhere. They
// are noted beside the data directory (`<data_directory>.pgkeel-places`) before they are made, so that what a rebuild
// that failed or was killed left behind goes before the next one. Nothing else ever does: only a folder that bears a
// name as a rebuild gives it, that is, by its device and inode, the one that was made here, that belongs to the
// server's user, and that the data directory does not use. That user may write where the note is, and we may be root:
// so a note of anybody else is not believed, no link is followed, and whatever goes is removed with no more than that
// user's rights. Job threads; one rejoin of a node at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {

// "/fast/wal", or that of an earlier rebuild, "/fast/wal.pgkeel-20261122T081530.123Z" ->
// "/fast/wal.pgkeel-20261123T081530.123Z", by a time stamp as Rejoin makes it.
std::string fresh_place(const std::string& path, const std::string& time_stamp);

class RejoinPlaces {
 public:
  explicit RejoinPlaces(const DataDirectory& directory);

  // Makes these folders, empty, for the server's user; an error where one is there already. Where it fails, remove()
  // removes those that it made.
  Result<void> make(const std::vector<std::string>& paths) const;

  // Removes what is noted; one line for each that stays. What could not be removed stays noted, what is not ours (any
  // more) does not.
  [[nodiscard]] std::vector<std::string> remove() const;

  // Removes what an earlier version left beside the data directory without a note: what bears the name of a new data
  // directory, belongs to the server's user and lacks pg_control, which a base backup brings last. Not to be called
  // while a rejoin may still need one of them; one line for each that stays.
  [[nodiscard]] std::vector<std::string> remove_unnoted() const;

  // They are in use from now on.
  Result<void> forget() const;

 private:
  struct Place {
    std::string path;  // no link is on the way to it
    std::uint64_t device = 0;
    std::uint64_t inode = 0;  // 0: not made yet, as far as was noted
  };
  struct Stay {
    std::string why;  // empty: it is gone
    bool is_ours = false;
  };
  [[nodiscard]] Result<std::vector<Place>> noted() const;
  Result<void> note(const std::vector<Place>& places) const;
  [[nodiscard]] Result<Place> make_folder(const std::string& path) const;
  [[nodiscard]] Stay remove_place(const Place& place) const;
  [[nodiscard]] bool has_name_of_place(const std::string& path) const;
  [[nodiscard]] bool is_new_directory(const std::string& name) const;
  [[nodiscard]] bool is_used(std::uint64_t device, std::uint64_t inode) const;

  const DataDirectory& directory_;
  std::string file_;
};

}  // namespace pgkeel
