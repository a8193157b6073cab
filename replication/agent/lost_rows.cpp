#include "replication/agent/lost_rows.h"

#include <algorithm>
#include <utility>

namespace pgkeel {

std::uint32_t ended_by(const HeapTuple& tuple, const UpdaterOfMultixact& updater_of) {
  if (tuple.xmax_invalid || tuple.xmax_locks_only) return 0;
  return tuple.xmax_is_multi ? updater_of(tuple.xmax) : tuple.xmax;
}

LostRowFinder::LostRowFinder(const TransactionSet& lost, UpdaterOfMultixact updater_of)
    : lost_(lost), updater_of_(std::move(updater_of)) {}

void LostRowFinder::add_page(std::uint32_t block, std::span<const HeapTuple> tuples) {
  for (const auto& tuple : tuples) {
    if (tuple.xmin_invalid) continue;
    Version version;
    version.xmin = tuple.xmin;
    version.by_lost = lost_.contains(tuple.xmin);
    version.gone_by = ended_by(tuple, updater_of_);
    // Whoever else is there was rolled back, or had not come to its end.
    version.gone_by_lost = lost_.contains(version.gone_by);
    if (!version.by_lost && !version.gone_by_lost) continue;
    version.is_update = tuple.is_update;
    version.is_heap_only = tuple.is_heap_only;
    version.key_changed = tuple.keys_updated;
    version.moved = tuple.moved_to_partition;
    version.next = tuple.next;
    versions_.emplace(RowPointer{block, tuple.offset}, version);
  }
}

const LostRowFinder::Version* LostRowFinder::successor_of(RowPointer place, const Version& version) const {
  if (!version.gone_by_lost || version.moved || version.next == place) return nullptr;
  const auto found = versions_.find(version.next);
  // Its place may have been given to another row.
  return found != versions_.end() && found->second.xmin == version.gone_by ? &found->second : nullptr;
}

LostRows LostRowFinder::find() {
  LostRows rows;
  for (const auto& [place, version] : versions_) {
    if (successor_of(place, version) != nullptr) versions_.find(version.next)->second.has_predecessor = true;
  }
  for (const auto& [place, first] : versions_) {
    if (first.by_lost) ++(first.is_update ? rows.updates : rows.insertions);
    if (first.has_predecessor) continue;
    bool key_changed = false;
    RowPointer last_place = place;
    const Version* last = &first;
    while (const Version* next = successor_of(last_place, *last)) {
      key_changed = key_changed || last->key_changed;
      last_place = last->next;
      last = next;
    }
    // What a version replaced that has no predecessor here was cleaned up: the cluster has some row for it, or none.
    const bool is_unrooted = first.by_lost && first.is_update;
    if (is_unrooted && !first.is_heap_only) ++rows.old_keys_unknown;
    if (last->gone_by_lost) {
      ++rows.deletions;
      if (!first.by_lost || is_unrooted) rows.deleted.push_back(place);
    } else if (is_unrooted) {
      rows.unrooted.push_back(last_place);
    } else if (first.by_lost) {
      rows.inserted.push_back(last_place);
    } else {
      rows.updated.push_back(last_place);
      (key_changed ? rows.old_keys : rows.replaced).push_back(place);
    }
  }
  return rows;
}

std::vector<std::string> settle_with_log(LostRows& rows, const RowCounts& in_log) {
  std::vector<std::string> problems;
  if (in_log.deleted > rows.deletions) {
    problems.push_back(std::to_string(in_log.deleted - rows.deletions) +
                       " deleted rows are no longer on their pages, which were cleaned up since: their keys cannot be "
                       "told");
  }
  const auto gone_updates = in_log.updated > rows.updates ? in_log.updated - rows.updates : 0;
  // A heap-only version has the key of the one that it replaced; only an update that is gone can have changed it.
  const auto keys = std::max(rows.old_keys_unknown, rows.unrooted.empty() ? 0 : gone_updates);
  if (keys > 0) {
    problems.push_back("of up to " + std::to_string(keys) +
                       " updates the earlier version is no longer on its page: where they gave a row another key, its "
                       "old key is in no file");
  }
  if (in_log.inserted <= rows.insertions) {
    rows.updated.insert(rows.updated.end(), rows.unrooted.begin(), rows.unrooted.end());
    std::ranges::sort(rows.updated);
    rows.unrooted.clear();
  } else if (!rows.unrooted.empty()) {
    problems.push_back("the first versions of " + std::to_string(rows.unrooted.size()) +
                       " rows are no longer on their pages: whether they were inserted or updated cannot be told");
  }
  return problems;
}

}  // namespace pgkeel
