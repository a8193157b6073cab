// The one door into a loop for other threads: tasks posted from any thread run on the loop's thread, in order.
#pragma once

#include <functional>
#include <memory>

namespace pgkeel {

class Loop;

class Wakeup {
 public:
  explicit Wakeup(Loop& loop);  // loop's thread, or before the loop runs
  ~Wakeup();                    // loop's thread, or after the loop ran; tasks not yet run are dropped
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Any thread, as long as this object lives.
  void post(std::function<void()> task);

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
