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

// The same of one that was never made before: where there is one of that name it stays as it is, whatever it keeps.
std::string create_new_slot_sql(const std::string& slot, bool reserves_wal);

// Moves the slot on to this position, unless somebody reads from it or it is there already.
std::string advance_slot_sql(const std::string& slot, Lsn position);

}  // namespace pgkeel
