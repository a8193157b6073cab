// Who may be promoted, and who is promoted first. Pure.
#pragma once

#include <functional>
#include <string>

#include "replication/decide/situation.h"

namespace pgkeel {

// May this node be promoted automatically, as far as is known of it now?
Verdict may_be_promoted(const Situation& situation, const NodeView& node);

// Why this standby does not become a primary with all that it has received, as it is set up: one clause; empty: it
// does. `primary`: what is known of its primary, or nullptr.
std::string why_never_promoted(const NodeView& standby, const NodeFacts* primary);

// Of those that may be promoted, and count: the highest (timeline, then received WAL), an operator's wish and priority
// breaking ties; the operator's wish comes first where its loss is accepted. None: nullptr.
const NodeView* best_candidate(const Situation& situation, const std::function<bool(const NodeView&)>& counts = {});

// Why nobody may be promoted: one clause per node.
std::string why_no_candidate(const Situation& situation);

}  // namespace pgkeel
