// Which server owns which cancel key. Any thread; sharded, touched at the begin and the end of a session only.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/wire/startup.h"

namespace pgkeel {

class CancelRegistry {
 public:
  struct Owner {
    std::string node;
    std::uint64_t epoch = 0;

    friend bool operator==(const Owner&, const Owner&) = default;
  };

  // Two sessions may hold the same key for a moment (the server reuses process ids): each removes only its own entry.
  using EntryId = std::uint64_t;
  EntryId add(const CancelKey& key, Owner owner);
  void remove(const CancelKey& key, EntryId entry);

  // All that there are.
  [[nodiscard]] std::vector<std::pair<CancelKey, Owner>> entries() const;

  // Of several the newest. The secret is compared in constant time.
  [[nodiscard]] std::optional<Owner> find(const CancelKey& key) const;

 private:
  struct Entry {
    EntryId id = 0;
    std::string secret;
    Owner owner;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_multimap<std::uint32_t, Entry> entries;  // by process id
    EntryId next_id = 1;
  };
  static constexpr std::size_t kShards = 16;

  [[nodiscard]] Shard& shard_of(const CancelKey& key) { return shards_[key.process_id % kShards]; }
  [[nodiscard]] const Shard& shard_of(const CancelKey& key) const { return shards_[key.process_id % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace pgkeel
