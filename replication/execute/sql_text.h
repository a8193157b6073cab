// Pieces of SQL text. Pure.
#pragma once

#include <string>

#include "proxy/base/lsn.h"
#include "proxy/base/sql_quote.h"

namespace pgkeel {

// Creates the slot where it is missing. `reserves_wal`: also anew where it was invalidated or never reserved anything,
// and it keeps the WAL from the last checkpoint on. The one row of the last statement says whether it was created: 0 or
// 1.
std::string create_slot_sql(const std::string& slot, bool reserves_wal = true);

// Moves the slot on to this position, unless somebody reads from it or it is there already.
std::string advance_slot_sql(const std::string& slot, Lsn position);

}  // namespace pgkeel
