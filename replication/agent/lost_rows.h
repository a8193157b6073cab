// Which rows of a table lost transactions inserted, changed and deleted, told from the row versions on its pages. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "replication/agent/heap_page.h"
#include "replication/agent/lost_history.h"

namespace pgkeel {

using TransactionSet = std::unordered_set<std::uint32_t>;

// Who of the members of a multixact deleted or replaced the row; 0: nobody.
using UpdaterOfMultixact = std::function<std::uint32_t(std::uint32_t multixact)>;

// Who deleted or replaced this version, whatever became of that; 0: nobody.
std::uint32_t ended_by(const HeapTuple& tuple, const UpdaterOfMultixact& updater_of);

struct LostRows {
  std::vector<RowPointer> inserted;  // their newest version
  std::vector<RowPointer> updated;   // likewise
  // The version that the cluster has, or had before: of deleted rows, and of updated ones that have another key now.
  std::vector<RowPointer> deleted;
  std::vector<RowPointer> old_keys;
  std::vector<RowPointer> replaced;  // the cluster's version of every other updated row, as far as it is still there
  // The newest version of rows whose first versions are no longer on their pages, so that it is not known who inserted
  // them. settle_with_log() tells where that can only have been the cluster.
  std::vector<RowPointer> unrooted;
  std::uint64_t old_keys_unknown = 0;  // of rows whose first versions are gone: those that may have another key now

  // Versions that were seen, also of rows that the cluster never had.
  std::uint64_t insertions = 0;
  std::uint64_t updates = 0;
  std::uint64_t deletions = 0;

  [[nodiscard]] bool any() const {
    return !inserted.empty() || !updated.empty() || !deleted.empty() || !unrooted.empty();
  }
};

// Compares what was found on the pages with what the log says of the same table: what was cleaned up since is told, one
// line for each kind. `unrooted` goes to `updated` where the log leaves no doubt.
std::vector<std::string> settle_with_log(LostRows& rows, const RowCounts& in_log);

class LostRowFinder {
 public:
  LostRowFinder(const TransactionSet& lost, UpdaterOfMultixact updater_of);

  void add_page(std::uint32_t block, std::span<const HeapTuple> tuples);
  LostRows find();

 private:
  struct Version {
    bool by_lost = false;       // inserted by a lost transaction
    bool gone_by_lost = false;  // deleted or replaced by one
    bool is_update = false;
    bool is_heap_only = false;
    bool key_changed = false;
    bool moved = false;
    std::uint32_t xmin = 0;
    std::uint32_t gone_by = 0;
    RowPointer next;
    bool has_predecessor = false;  // among the versions here
  };
  [[nodiscard]] const Version* successor_of(RowPointer place, const Version& version) const;

  const TransactionSet& lost_;
  UpdaterOfMultixact updater_of_;
  std::map<RowPointer, Version> versions_;
};

}  // namespace pgkeel
