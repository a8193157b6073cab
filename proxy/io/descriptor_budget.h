// How many descriptors the data path may still take, so that clients can never use up those that the control side needs
// (state files, probes, admin, child processes). Any thread; touched where connections begin and end, never for a
// message.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

namespace pgkeel {

class DescriptorBudget;

// What one connection holds of the budget; given back at its end.
class DescriptorShare {
 public:
  DescriptorShare() = default;
  DescriptorShare(DescriptorShare&& other) noexcept : budget_(other.budget_), held_(std::exchange(other.held_, 0)) {}
  DescriptorShare& operator=(DescriptorShare&& other) noexcept {
    shrink_to(0);
    budget_ = other.budget_;
    held_ = std::exchange(other.held_, 0);
    return *this;
  }
  ~DescriptorShare() { shrink_to(0); }

  // One more. False: there is none left, and nothing has changed.
  [[nodiscard]] bool grow();
  void shrink_to(std::uint32_t descriptors);
  [[nodiscard]] std::uint32_t held() const { return held_; }

 private:
  friend class DescriptorBudget;
  explicit DescriptorShare(DescriptorBudget& budget) : budget_(&budget) {}

  DescriptorBudget* budget_ = nullptr;
  std::uint32_t held_ = 0;
};

class DescriptorBudget {
 public:
  explicit DescriptorBudget(std::uint32_t descriptors) : free_(descriptors) {}
  DescriptorBudget(const DescriptorBudget&) = delete;
  DescriptorBudget& operator=(const DescriptorBudget&) = delete;

  // A share that holds one descriptor, or none where there is none left. The budget must outlive it.
  [[nodiscard]] DescriptorShare take() {
    DescriptorShare share(*this);
    [[maybe_unused]] const bool taken = share.grow();
    return share;
  }
  [[nodiscard]] std::uint32_t free() const {
    return static_cast<std::uint32_t>(std::max<std::int64_t>(free_.load(std::memory_order_relaxed), 0));
  }
  // More, or fewer. Who holds some keeps them: it may take until enough are given back before there is one to take.
  void change_by(std::int64_t descriptors) { free_.fetch_add(descriptors, std::memory_order_relaxed); }

 private:
  friend class DescriptorShare;
  std::atomic<std::int64_t> free_;  // below 0: after change_by()
};

inline bool DescriptorShare::grow() {
  if (budget_ == nullptr) return false;
  auto free = budget_->free_.load(std::memory_order_relaxed);
  do {
    if (free <= 0) return false;
  } while (!budget_->free_.compare_exchange_weak(free, free - 1, std::memory_order_relaxed));
  ++held_;
  return true;
}

inline void DescriptorShare::shrink_to(std::uint32_t descriptors) {
  if (held_ <= descriptors) return;
  budget_->free_.fetch_add(held_ - descriptors, std::memory_order_relaxed);
  held_ = descriptors;
}

}  // namespace pgkeel
