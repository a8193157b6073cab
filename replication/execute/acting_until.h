// Until when this pgkeel may act on a node: it leads, or it may lead clients there. One that is alone always may. Of
// several, one that was frozen sees here that its time is over before it has noticed anything else. Any thread.
#pragma once

#include <atomic>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"

namespace pgkeel {

class ActingUntil {
 public:
  void set(Instant until_since_boot) { until_ = until_since_boot.time_since_epoch(); }
  [[nodiscard]] bool holds() const { return since_boot() < until_.load(); }

 private:
  std::atomic<Duration> until_{Duration::max()};
};

}  // namespace pgkeel
