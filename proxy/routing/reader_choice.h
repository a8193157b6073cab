// Which of several nodes a new session of the read-only endpoint goes to: the one with the fewest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "proxy/routing/route.h"

namespace pgkeel {

// How many sessions of the read-only endpoint there are at each node, logins under way included. Any thread; touched
// when sessions begin and end only.
class ReaderCounts {
 public:
  // One of the sessions of a node, as long as it lives.
  class Share {
   public:
    Share() = default;
    explicit Share(std::atomic<std::uint32_t>& count) : count_(&count) {
      count.fetch_add(1, std::memory_order_relaxed);
    }
    ~Share() { give_back(); }
    Share(Share&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Share& operator=(Share&& other) noexcept {
      if (this == &other) return *this;
      give_back();
      count_ = std::exchange(other.count_, nullptr);
      return *this;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    void give_back() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }
    std::atomic<std::uint32_t>* count_ = nullptr;
  };

  [[nodiscard]] Share add(const std::string& node) {
    const std::lock_guard lock(mutex_);
    return Share(sessions_[node]);
  }
  [[nodiscard]] std::uint32_t sessions(const std::string& node) const {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(node);
    return found == sessions_.end() ? 0 : found->second.load(std::memory_order_relaxed);
  }
  // Goes round, so that nodes with the same number of sessions have their turn.
  [[nodiscard]] std::size_t next_turn() { return turn_.fetch_add(1, std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::atomic<std::uint32_t>> sessions_;  // of each node that ever had one
  std::atomic<std::uint32_t> turn_{0};
};

// Pure. At least one reader takes new sessions. Standbys come before the primary, and those that are not left out
// before those that are; of equals the one with the fewest sessions, and of these the next in turn.
template <class IsLeftOut, class SessionsOf>
ReadTarget choose_reader(const std::vector<ReadTarget>& readers, IsLeftOut is_left_out, SessionsOf sessions_of,
                         std::size_t turn) {
  const ReadTarget* best = nullptr;
  const auto rank = [&](const ReadTarget& reader) {
    return std::pair((is_left_out(reader) ? 2 : 0) + (reader.is_primary ? 1 : 0), sessions_of(reader));
  };
  for (std::size_t step = 0; step < readers.size(); ++step) {
    const ReadTarget& reader = readers[(turn + step) % readers.size()];
    if (reader.takes_new && (best == nullptr || rank(reader) < rank(*best))) best = &reader;
  }
  return *best;
}

}  // namespace pgkeel
