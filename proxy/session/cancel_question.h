// May this cancel request go to its server? A worker asks, the control thread knows. Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace pgkeel {

struct CancelQuestion {
  std::string cluster;
  std::string node;  // the route's
  std::uint32_t process_id = 0;
};

// `answer` is called once, later, or never where the asker is gone by then.
using CancelAnswer = std::function<void(bool may_go)>;
using CancelJudge = std::function<void(CancelQuestion, CancelAnswer answer)>;

}  // namespace pgkeel
