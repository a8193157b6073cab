// Standbys that are cut off an old primary, so that it acknowledges nothing more while another one takes its place.
// Pure.
#pragma once

#include "replication/decide/failover.h"
#include "replication/model/decision.h"

namespace pgkeel {

// The old primary may live, so this standby must be cut off it before its position counts: else a commit that is
// acknowledged meanwhile could be on another one. Never where it is proven stopped, or where commits wait for nobody.
bool must_be_cut_off(const Situation& situation, const NodeView& standby, const Fenced& so_far);
bool is_cut_off(const Situation& situation, const NodeView& standby);

// Where the last commit may be on any of several standbys they are cut off a primary that is proven stopped too, and
// nobody waits for it: whoever starts that one again finds nobody there who acknowledges, although another standby was,
// or is being, chosen by the positions that were told before.
bool is_better_cut_off(const Situation& situation, const NodeView& standby, const Fenced& so_far);

// Cuts off whom that is wanted of, while a failover is under way.
void cut_off_standbys(const Situation& situation, const Fenced& so_far, Decision& decision);

// Which of those that must be cut off still receive although they were told to stop, and what their walreceivers wait
// for: "; b …"; empty: none. It does not change while that goes on.
std::string tell_cut_off_in_vain(const Situation& situation, const Fenced& so_far);

}  // namespace pgkeel
