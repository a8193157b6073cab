// synchronous_standby_names as text (PostgreSQL manual, "Replication" settings of the primary): `ANY 1 ("b", "c")`.
// Pure.
#pragma once

#include <optional>
#include <string>

#include "replication/model/sync_quorum.h"

namespace pgkeel {

// The one text that pgkeel sets for a quorum, so that texts can be compared; empty for none.
std::string standby_names_text(const SyncQuorum& quorum);

// The same quorum in words that can be told apart in pg_stat_replication: no column of it shows how many standbys a
// walsender waits for, but sync_priority is 1 for each standby of ANY, and 2 and more behind a name that nobody bears.
// A commit waits for the first `acks` of the members that are there.
std::string standby_names_text_by_priority(const SyncQuorum& quorum);

// The quorum of such a text, of either kind; nothing where it was written otherwise, so by somebody else.
std::optional<SyncQuorum> parse_standby_names(const std::string& text);

}  // namespace pgkeel
