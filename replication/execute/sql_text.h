// Pieces of SQL text. Pure.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/lsn.h"

namespace pgkeel {

// 'text' as a string constant, whatever standard_conforming_strings says (PostgreSQL manual, "String Constants").
std::string quote_literal(std::string_view text);

// Creates the slot where it is missing, and anew where it was invalidated or never reserved anything: it keeps the WAL
// from the last checkpoint on. Two statements; the one row of the last says whether it was created: 0 or 1.
std::string create_slot_sql(const std::string& slot);

// Moves the slot on to this position, unless somebody reads from it or it is there already.
std::string advance_slot_sql(const std::string& slot, Lsn position);

}  // namespace pgkeel
