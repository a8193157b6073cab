// The one SQL text that a probe sends, and its answer read back into NodeFacts. Pure. Works on PostgreSQL 13 to 17, on
// a primary and on a standby, for any role: what a role may not see is left out, never an error.
#pragma once

#include <string>
#include <string_view>

#include "health/observation.h"
#include "proxy/base/result.h"

namespace pgkeel {

// Functions that not every role may call. PostgreSQL checks that when it prepares a statement, even for a branch that
// is never taken; so the text names only what an earlier answer allowed.
struct ProbeRights {
  bool read_files = false;  // pg_read_file: timeline history
  bool list_wal = false;    // pg_ls_waldir: the timeline of a standby whose walreceiver has ended

  friend bool operator==(const ProbeRights&, const ProbeRights&) = default;
};

std::string probe_query_text(ProbeRights rights);

struct ProbeAnswer {
  NodeFacts facts;
  ProbeRights rights;  // that the role has: with them, ask again for the rest
};

// `json` is the one value of the one row. Whatever it holds, this never throws.
Result<ProbeAnswer> parse_probe_answer(std::string_view json);

// A conninfo without its passwords; one that cannot be read becomes empty, as nobody knows what it would give away.
std::string without_passwords(const std::string& conninfo);

}  // namespace pgkeel
