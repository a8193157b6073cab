// Tells when a process of this machine has ended, in microseconds and whoever's child it is: a pidfd on the loop.
// Loop's thread only. Destroying it, also inside its callback, ends the watch.
#pragma once

#include <functional>
#include <memory>
#include <sys/types.h>

#include "proxy/base/result.h"

namespace pgkeel {

class Loop;

class ProcessWatch {
 public:
  // An error where there is no such process, or the kernel (before 5.3) has no pidfd. `on_exit` is called once, later.
  // The number may belong to another process by now: look at /proc after this, and then at has_exited().
  static Result<std::unique_ptr<ProcessWatch>> open(Loop& loop, pid_t pid, std::function<void()> on_exit);
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool has_exited() const;

 private:
  struct Inner;
  ProcessWatch(pid_t pid, std::unique_ptr<Inner> inner);

  pid_t pid_;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
