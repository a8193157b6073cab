#include "replication/agent/lost_rows.h"

#include <utility>

namespace pgkeel {

LostRowFinder::LostRowFinder(const TransactionSet& lost, std::function<std::uint32_t(std::uint32_t)> updater_of)
    : lost_(lost), updater_of_(std::move(updater_of)) {}

void LostRowFinder::add_page(std::uint32_t block, std::span<const HeapTuple> tuples) {
  for (const auto& tuple : tuples) {
    if (tuple.xmin_invalid) continue;
    Version version;
    version.xmin = tuple.xmin;
    version.by_lost = lost_.contains(tuple.xmin);
    if (!tuple.xmax_invalid && !tuple.xmax_locks_only) {
      version.gone_by = tuple.xmax_is_multi ? updater_of_(tuple.xmax) : tuple.xmax;
    }
    // Whoever else is there was rolled back, or had not come to its end.
    version.gone_by_lost = lost_.contains(version.gone_by);
    if (!version.by_lost && !version.gone_by_lost) continue;
    version.is_update = tuple.is_update;
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
    if (first.has_predecessor) continue;
    bool key_changed = false;
    RowPointer last_place = place;
    const Version* last = &first;
    while (const Version* next = successor_of(last_place, *last)) {
      key_changed = key_changed || last->key_changed;
      last_place = last->next;
      last = next;
    }
    // Where a changed version has lost its predecessor, that has been vacuumed away: the cluster has some row for it.
    const bool known_to_cluster = !first.by_lost || first.is_update;
    if (last->gone_by_lost) {
      ++rows.deletions;
      if (known_to_cluster) rows.deleted.push_back(place);
    } else if (!known_to_cluster) {
      rows.inserted.push_back(last_place);
    } else {
      rows.updated.push_back(last_place);
      if (!first.by_lost) (key_changed ? rows.old_keys : rows.replaced).push_back(place);
    }
  }
  return rows;
}

}  // namespace pgkeel
