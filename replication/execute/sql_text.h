// Pieces of SQL text. Pure.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

// 'text' as a string constant, whatever standard_conforming_strings says (PostgreSQL manual, "String Constants").
std::string quote_literal(std::string_view text);

// The slot of ours that keeps the WAL of a node on its primary.
inline std::string slot_of_node(const std::string& node) {
  return "pgkeel_" + node;
}

// Creates the slot where it is missing; it keeps WAL from now on.
std::string create_slot_sql(const std::string& slot);

}  // namespace pgkeel
