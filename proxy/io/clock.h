// The real clocks. Only proxy/io reads them; everything else is told the time. Any thread.
#pragma once

#include "proxy/base/time.h"

namespace pgkeel {

Instant monotonic_now();
WallTime wall_now();
Now clocks_now();

// Since the machine was started; also counts while it is suspended.
Duration since_boot();

}  // namespace pgkeel
