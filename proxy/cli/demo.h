// `pgkeel demo`: a primary, a standby and pgkeel in a temporary folder; the primary is killed while clients work.
#pragma once

#include <cstdint>

namespace pgkeel {

struct DemoOptions {
  bool keep = false;       // leave everything running until Ctrl-C
  std::uint16_t port = 0;  // of the access point; 0: a free one
};

// The exit status is 0 only where the numbers that it printed say that all went well.
int run_demo(const DemoOptions& options);

}  // namespace pgkeel
