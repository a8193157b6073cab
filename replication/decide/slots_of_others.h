// What is remembered of the replication slots that are not ours, so that physical ones come through a change of primary
// and logical ones are told of where they do not. Pure.
#pragma once

#include <string>

#include "replication/decide/situation.h"

namespace pgkeel {

// For so long a logical slot that was left behind is shown, unless it is there again.
constexpr Duration kLeftSlotShownFor = std::chrono::hours(7 * 24);

// Steady, while the primary answers: brings up to date which slots are pgkeel's to handle, which logical slots the
// primary has, and, where it is another one than before, what did not come along.
//
// Every physical slot that the old primary had belongs on the new one, where it is the readers' from then on, and is a
// copy on the old one. A logical slot cannot be copied: what its consumer must still get is decoded with catalogs of
// that time, and only the server (PostgreSQL 17: sync_replication_slots) keeps them.
void remember_slots(const Situation& situation, const NodeView& primary, ClusterMemory& next);

// One line for a person: what is missing, and what to do about it.
std::string describe(const LeftSlot& left, const std::string& primary);

}  // namespace pgkeel
