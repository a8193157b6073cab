#include "proxy/cancel/cancel_registry.h"

#include <utility>

#include "proxy/base/secret.h"

namespace pgkeel {
CancelRegistry::EntryId CancelRegistry::add(const CancelKey& key, Owner owner) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const EntryId id = shard.next_id++;
  shard.entries.emplace(key.process_id, Entry{id, key.secret, std::move(owner)});
  return id;
}

void CancelRegistry::remove(const CancelKey& key, EntryId entry) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto [first, last] = shard.entries.equal_range(key.process_id);
  for (auto at = first; at != last; ++at) {
    if (at->second.id != entry) continue;
    shard.entries.erase(at);
    return;
  }
}

std::vector<std::pair<CancelKey, CancelRegistry::Owner>> CancelRegistry::entries() const {
  std::vector<std::pair<CancelKey, Owner>> all;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [process_id, entry] : shard.entries) all.push_back({{process_id, entry.secret}, entry.owner});
  }
  return all;
}

std::optional<CancelRegistry::Owner> CancelRegistry::find(const CancelKey& key) const {
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const Entry* newest = nullptr;
  const auto [first, last] = shard.entries.equal_range(key.process_id);
  for (auto at = first; at != last; ++at) {
    const Entry& entry = at->second;
    if (!equal_in_constant_time(entry.secret, key.secret)) continue;
    if (newest == nullptr || entry.id > newest->id) newest = &entry;
  }
  if (newest == nullptr) return std::nullopt;
  return newest->owner;
}

}  // namespace pgkeel
