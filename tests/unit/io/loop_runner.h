// Runs a loop until a condition holds that its callbacks bring about. For tests.
#pragma once

#include <chrono>

#include "proxy/io/loop.h"
#include "proxy/io/timer.h"

namespace pgkeel::test {

// Whether `condition` came true within `limit`, which is only there to end a broken test. It is looked at after every
// callback round of at most a millisecond.
template <class Condition>
[[nodiscard]] bool run_until(Loop& loop, Condition condition, Duration limit = std::chrono::seconds(30)) {
  if (condition()) return true;
  bool over = false;
  Timer end(loop, [&] {
    over = true;
    loop.stop();
  });
  end.start_once(limit);
  Timer look(loop, [&] {
    if (condition()) loop.stop();
  });
  look.start_repeating(std::chrono::milliseconds(1));
  loop.run();
  return !over || condition();
}

}  // namespace pgkeel::test
