// A timer on a loop. Loop's thread only. Destroying it (also inside its own callback) cancels it.
#pragma once

#include <functional>
#include <memory>

#include "proxy/base/time.h"

namespace pgkeel {

class Loop;

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_due);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Due in whole milliseconds, and once never early. A running timer is started anew.
  void start_once(Duration delay);
  void start_repeating(Duration period);
  void stop();
  [[nodiscard]] bool active() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
