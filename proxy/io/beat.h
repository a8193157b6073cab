// Calls back again and again, a period after the last time. Unlike a Timer it has no part in how long its loop waits: a
// loop on which no Timer runs waits without a time-out, which its kernel would otherwise set and take back for every
// message that passes. Takes a descriptor. Loop's thread only; the callback must not destroy it.
#pragma once

#include <functional>

#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/fd_watch.h"

namespace pgkeel {

class Loop;

class Beat {
 public:
  Beat(Loop& loop, Duration period, std::function<void()> on_beat);

 private:
  void wait_for_next();

  Duration period_;
  std::function<void()> on_beat_;
  Descriptor clock_;
  FdWatch watch_;  // gone before what it watches
};

}  // namespace pgkeel
