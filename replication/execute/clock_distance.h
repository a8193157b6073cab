// How far another machine's clock is behind ours, by what it says of its clock: the shortest way of what arrived lately
// tells best, and what is older than a minute tells nothing any more, because the two run apart. Pure. One thread.
#pragma once

#include <algorithm>

#include "proxy/base/time.h"

namespace pgkeel {

class ClockDistance {
 public:
  // Its clock said this, and that was received then.
  Duration heard(Duration its_clock, Instant received_at) {
    if (received_at >= span_began_ + kSpan) {
      before_ = received_at >= span_began_ + 2 * kSpan ? Duration::max() : newest_;
      newest_ = Duration::max();
      span_began_ = received_at;
    }
    newest_ = std::min(newest_, received_at.time_since_epoch() - its_clock);
    return std::min(before_, newest_);
  }

 private:
  static constexpr Duration kSpan = std::chrono::seconds(30);
  Instant span_began_{};
  Duration newest_ = Duration::max();
  Duration before_ = Duration::max();  // of the span before
};

}  // namespace pgkeel
