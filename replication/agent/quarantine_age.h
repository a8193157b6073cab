// How old an entry of a quarantine is: the time that was seen to pass since it was there, by the clock since boot,
// noted in the entry at each look. The wall clock is not asked: one that jumps ahead would have everything removed.
// What passes while the host is off, or from the last look to its end, does not count: an entry is rather kept too
// long.
#pragma once

#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct SeenAge {
  std::string boot;  // of the kernel that looked last
  Duration at{};     // when it looked, since that boot
  Duration age{};
};

// Pure. Nothing seen before, another boot, or a clock that is behind: nothing has been seen to pass since.
SeenAge look_at_age(const std::optional<SeenAge>& before, const std::string& boot, Duration since_boot);

// Looks at the age of the entry in this folder, now, and notes it there. One writer at a time. Where it cannot be noted
// that is logged, and the same boot makes good for it at the next look.
Duration note_age(const std::string& entry_folder);

// The kernel's own name for this boot.
Result<std::string> this_boot();

}  // namespace pgkeel
