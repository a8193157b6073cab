// How late a loop is: how long after its time a timer of it is called. A loop that is late serves nobody meanwhile.
// Loop's thread only, but for worst().
#pragma once

#include <atomic>

#include "proxy/base/time.h"
#include "proxy/io/beat.h"

namespace pgkeel {

class LoopLag {
 public:
  explicit LoopLag(Loop& loop);

  // The worst of the last 10 to 20 seconds. Any thread.
  [[nodiscard]] Duration worst() const;

 private:
  void measure();

  Instant measured_at_;
  Instant window_began_at_;
  std::atomic<Duration::rep> worst_now_{0};
  std::atomic<Duration::rep> worst_before_{0};  // in the window before
  Beat beat_;
};

}  // namespace pgkeel
