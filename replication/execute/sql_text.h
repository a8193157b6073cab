// Pieces of SQL text. Pure.
#pragma once

#include <string>

#include "proxy/base/lsn.h"
#include "proxy/base/sql_quote.h"

namespace pgkeel {

// Creates the slot where it is missing, and anew where it was invalidated or never reserved anything: it keeps the WAL
// from the last checkpoint on. Two statements; the one row of the last says whether it was created: 0 or 1.
std::string create_slot_sql(const std::string& slot);

// Moves the slot on to this position, unless somebody reads from it or it is there already.
std::string advance_slot_sql(const std::string& slot, Lsn position);

}  // namespace pgkeel
