// When the virtual IP of a leader is taken, prolonged, announced and given back, so that it is never held past a
// deadline: also where this process is stopped or killed, because the kernel is always told an end that comes before.
// Pure; one thread. All times are on CLOCK_BOOTTIME.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "proxy/base/time.h"

namespace pgkeel {

// What is to be done now; nothing, or one of these. After it, ask again.
struct VipWork {
  enum class Kind {
    kNothing,
    kSet,
    kFarewell,  // it goes in a moment: those who came by it are told while they can be
    kStay,      // … it does not, after all
    kRemove,
    kAnnounce,
  };
  Kind kind = Kind::kNothing;
  std::uint32_t lifetime_seconds = 0;  // kSet: after so long the kernel removes it by itself
  bool taken_anew = false;             // kSet: it was not held until now
  Instant again_at = Instant::max();   // kNothing: ask again then
};

class VipTenure {
 public:
  // How late the kernel may be when it removes what has reached its end: it looks at most once a second, rounds to its
  // ticks, and does it in a worker thread of its own.
  static constexpr Duration kKernelLateness = std::chrono::milliseconds(1250);

  // So long before it goes it is said, where its time runs out.
  static constexpr Duration kFarewellTakes = std::chrono::milliseconds(200);

  // May be held until then. A later call replaces an earlier one; a time that has passed is a release.
  void hold(Instant until);
  void release() { hold(Instant{}); }
  // Another one shall have it: it goes at `by`, or where it may not be held for so long, and that is said at once.
  void leave(Instant by, Instant until);

  VipWork step(Instant now);

  // -- what became of it
  void was_set(Instant asked_at, std::uint32_t lifetime_seconds);
  void was_left_by_another();     // process: it is there, with an end that is not known
  void was_not_set(Instant now);  // or not removed; tried again soon
  void said_farewell() { farewell_said_ = true; }
  void said_stay() { farewell_said_ = false; }
  void was_removed();
  void was_announced(Instant now);
  void vanished();                   // somebody else removed it, or its end came
  void link_came_back(Instant now);  // those who are there may not have heard of it

  [[nodiscard]] bool is_held() const { return is_held_; }
  [[nodiscard]] Instant until() const { return until_; }
  [[nodiscard]] Instant goes_at() const;  // as it is now: where it is not prolonged

 private:
  [[nodiscard]] Instant remove_at() const;

  Instant until_{};  // the past: not to be held
  std::optional<Instant> leave_by_;
  bool is_held_ = false;
  bool farewell_said_ = false;
  Instant kernel_end_{};  // at the earliest
  Instant retry_at_{};
  Instant announce_at_ = Instant::max();
  std::size_t announced_ = 0;
};

}  // namespace pgkeel
