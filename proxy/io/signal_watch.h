// Tells of a signal on a loop. Loop's thread only. As long as one exists, the signal does not end the process.
#pragma once

#include <functional>
#include <memory>

namespace pgkeel {

class Loop;

class SignalWatch {
 public:
  SignalWatch(Loop& loop, int signal_number, std::function<void()> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
