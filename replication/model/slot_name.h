// What the slots of ours are called. Plain data.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

constexpr std::string_view kSlotPrefix = "pgkeel_";

// The slot that keeps WAL for a node, on its primary and on those that may become one.
inline std::string slot_of_node(const std::string& node) {
  return std::string(kSlotPrefix) + node;
}

inline bool is_slot_of_node(std::string_view slot, std::string_view node) {
  return slot.size() == kSlotPrefix.size() + node.size() && slot.starts_with(kSlotPrefix) && slot.ends_with(node);
}

}  // namespace pgkeel
