// One cluster at one moment, with the questions that rules ask of it. Pure: no I/O, clock or log. Lives for one
// decision.
#pragma once

#include <string>

#include "replication/model/cluster_memory.h"
#include "replication/model/cluster_view.h"
#include "replication/model/failover_policy.h"

namespace pgkeel {

// A yes, or a no with the reason why not, as one clause for a person.
struct Verdict {
  bool yes = false;
  std::string why_not;

  explicit operator bool() const { return yes; }
  static Verdict good() { return {true, ""}; }
  static Verdict no(std::string why) { return {false, std::move(why)}; }
};

struct Situation {
  const ClusterView& view;
  const ClusterMemory& memory;
  const FailoverPolicy& policy;
  Now now;

  [[nodiscard]] const NodeView* primary() const { return view.node(memory.primary); }
  [[nodiscard]] bool is_old_primary(const std::string& node) const;

  // It answers with another system identifier: whatever it is configured as, it is no node of this cluster. It is left
  // alone, and what it holds or does counts for nothing here.
  [[nodiscard]] bool is_of_another_cluster(const NodeView& node) const;

  // `serve --adopt NODE` names another node than the primary of the memory, and it is waited for: meanwhile clients are
  // led to no other, and nobody is promoted.
  [[nodiscard]] bool adoption_is_open() const { return !policy.adopt.empty() && policy.adopt != memory.primary; }

  // Of the newest run of this action, if it was for the epoch of the memory.
  [[nodiscard]] const ActionStatus* current_action(ActionKind kind, const std::string& node) const;
};

// Where `timeline` ended in the history of a node that writes a later one; nothing where the history is not known, or
// does not pass through it.
std::optional<Lsn> fork_of(const NodeFacts& later, Timeline timeline);

// A timeline that bears one number in the history of both is not the same: two nodes were promoted apart.
bool timelines_differ(const NodeFacts& left, const NodeFacts& right);

// The standby's WAL is a part of the primary's: it can stream on from there.
bool on_history_of(const NodeFacts& standby, const NodeFacts& primary);

// Its walreceiver streams from this primary, or the primary has a walsender that bears its name.
bool streams_from(const NodeView& standby, const NodeView& primary);

// "is of another cluster (system identifier 7000000000000000001)"
std::string tell_other_cluster(const NodeView& node);

// Of a node that does not answer with facts: what is known of it, as one clause for a person.
std::string why_not_known(const NodeView& node);

// Where the primary of the memory is not configured, and what to do.
std::string why_not_configured(const Situation& situation);

// "a", "a and b", "a, b and c"
std::string join_names(const std::vector<std::string>& names);

}  // namespace pgkeel
