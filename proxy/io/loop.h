// An event loop, run by one thread. Everything created on a loop (timers, watches, links) belongs to that thread; the
// only door for others is Wakeup. Outside proxy/io nobody calls libuv.
#pragma once

#include <functional>
#include <memory>

#include "proxy/base/time.h"

struct uv_loop_s;

namespace pgkeel {

class Loop {
 public:
  Loop();
  ~Loop();  // every object on the loop must be gone; their handles are closed here
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop() is called from a callback, or nothing is left to wait for.
  void run();
  void stop();

  // Runs `task` in this loop's thread after the callbacks that are due now. For objects that must not be destroyed
  // inside their own callback.
  void defer(std::function<void()> task);

  // The time at which the callbacks that run now became due: no system call, up to one round of callbacks old.
  [[nodiscard]] Instant now() const;

  // A Timer runs, or there is something to do at once: see Beat for what that costs.
  [[nodiscard]] bool waits_with_time_out() const;

  [[nodiscard]] uv_loop_s* handle() const { return loop_.get(); }

 private:
  struct Deferred;
  std::unique_ptr<uv_loop_s> loop_;
  std::unique_ptr<Deferred> deferred_;
};

}  // namespace pgkeel
