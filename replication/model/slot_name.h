// What the slots of ours are called. Plain data.
#pragma once

#include <string>

namespace pgkeel {

constexpr const char* kSlotPrefix = "pgkeel_";

// The slot that keeps WAL for a node, on its primary and on those that may become one.
inline std::string slot_of_node(const std::string& node) {
  return kSlotPrefix + node;
}

}  // namespace pgkeel
