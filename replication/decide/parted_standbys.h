// Standbys whose WAL is no part of the primary's, while another node is about to be made a standby of it. Pure.
#pragma once

#include <string>

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// It has WAL that the primary lacks, as far as both tell: it is to be rewound or rebuilt.
bool has_parted(const NodeView& standby, const NodeView& primary);

// There was another primary, both may have made a timeline of this number, and the histories cannot be compared.
bool may_be_on_a_twin(const Situation& situation, const NodeView& standby, const NodeView& primary);

// `node` is about to get the primary's history. PostgreSQL goes by the numbers of timelines alone: a standby that has
// parted from it, and receives from `node`, would go on with what has taken the place of its upstream, and be corrupt.
// So it is cut off before. Says who is not yet, as a clause for a person; empty: there is none.
std::string cut_off_those_that_follow(const Situation& situation, const NodeView& primary, const NodeView& node,
                                      Decision& decision);

}  // namespace pgkeel
