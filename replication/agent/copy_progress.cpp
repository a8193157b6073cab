#include "replication/agent/copy_progress.h"

#include <algorithm>

#include "proxy/io/clock.h"
#include "replication/agent/room.h"

namespace pgkeel {
namespace {

constexpr std::uint64_t kTellEveryPercent = 10;
constexpr int kLookShare = 10;  // to see how far a copy is takes no more than one part in so many of its time

}  // namespace

void CopyProgress::look() {
  const Instant began = monotonic_now();
  if (!say_ || whole_bytes_ == 0 || began < not_before_) return;
  const auto percent = std::min<std::uint64_t>(disk_bytes_of(copy_) * 100 / whole_bytes_, 100);
  const Instant ended = monotonic_now();
  not_before_ = ended + kLookShare * (ended - began);
  if (percent < told_ + kTellEveryPercent) return;
  told_ = percent - percent % kTellEveryPercent;
  say_("setting aside what it alone has: " + std::to_string(told_) + " %");
}

}  // namespace pgkeel
