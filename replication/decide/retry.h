// When an action that failed is tried again. Pure.
#pragma once

#include "replication/decide/situation.h"
#include "replication/model/decision.h"

namespace pgkeel {

// The pause doubles with each failure in a row, from 1 s to a minute, and for a rejoin, which may be long work that
// fails at its end, to ten minutes. Short work for which commits or clients may wait (synchronous_standby_names, a
// promotion), or which keeps an old primary from acknowledging (to cut a standby off), is tried again after a quarter
// of a second first, the former no later than after ten seconds. Nothing but a rejoin is ever given up (kMostCopies):
// what stands in the way is mended outside.
Duration retry_pause(ActionKind kind, std::uint32_t failures);

// From so many failures in a row on an operator is asked for help.
constexpr std::uint32_t kFailuresBeforeOperator = 5;

// So many attempts of a rejoin that began to copy end it: each may copy the whole database, in vain. One that is
// refused before (no room, a primary that its host cannot reach, a wrong password) costs nothing, and is tried again
// for ever.
constexpr std::uint32_t kMostCopies = 21;

// It copied so often, and the node never streamed. Whatever makes RejoinWatch begin anew ends that; so does another
// epoch.
bool rejoin_is_given_up(const Situation& situation, const std::string& node);

// May the action be started now? Not while it runs, nor before the pause after its last failure is over; `again_at` is
// lowered to that moment. Not a rejoin that is given up. Another epoch, or another order of synchronous_standby_names,
// begins anew.
bool may_start(const Situation& situation, ActionKind kind, const std::string& node, Instant& again_at);

// Probes the node now, and not again before its answer is here or `pause` is over.
void ask(const Situation& situation, const NodeView& node, Duration pause, Decision& decision);

// A job in the node's files or processes runs: no other may be started beside it.
bool host_job_runs(const Situation& situation, const std::string& node);

// One of these that can be broken off, because it may take long: a start or a rejoin.
bool is_breakable(const ActionStatus& job);
bool breakable_job_runs(const Situation& situation, const std::string& node);

// Starts the action, unless a job in the files or processes of its node is in the way, or the pause after its last
// failure is not over.
void start_action(const Situation& situation, Action action, Decision& decision);

// Such a job is among these.
bool host_job_starts(const std::vector<Action>& actions, const std::string& node);

}  // namespace pgkeel
