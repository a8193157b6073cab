// synchronous_standby_names as text (PostgreSQL manual, "Replication" settings of the primary): `ANY 1 ("b", "c")`.
// Pure.
#pragma once

#include <optional>
#include <string>

#include "replication/model/sync_quorum.h"

namespace pgkeel {

// The one text that pgkeel sets for a quorum, so that texts can be compared; empty for none.
std::string standby_names_text(const SyncQuorum& quorum);

// The quorum of such a text; nothing where it was written otherwise, so by somebody else.
std::optional<SyncQuorum> parse_standby_names(const std::string& text);

}  // namespace pgkeel
