#include "replication/decide/situation.h"

#include <algorithm>
#include <ranges>

namespace pgkeel {

bool Situation::is_old_primary(const std::string& node) const {
  const auto found = memory.nodes.find(node);
  return found != memory.nodes.end() && found->second.old_primary;
}

bool Situation::is_of_another_cluster(const NodeView& node) const {
  return node.answering() && !memory.system_identifier.empty() &&
         node.facts->system_identifier != memory.system_identifier;
}

const ActionStatus* Situation::current_action(ActionKind kind, const std::string& node) const {
  const ActionStatus* status = view.action(kind, node);
  return status != nullptr && status->action.epoch == memory.epoch ? status : nullptr;
}

std::optional<Lsn> fork_of(const NodeFacts& later, Timeline timeline) {
  if (!later.timeline_history_known) return std::nullopt;
  for (const auto& fork : later.timeline_history) {
    if (fork.timeline == timeline) return fork.end;
  }
  return std::nullopt;
}

bool timelines_differ(const NodeFacts& left, const NodeFacts& right) {
  const auto has_history = [](const NodeFacts& facts) {
    return facts.timeline_history_known && !facts.timeline_history.empty();
  };
  if (!has_history(left) || !has_history(right)) return false;
  if (left.timeline == right.timeline) return left.timeline_history != right.timeline_history;
  const NodeFacts& earlier = left.timeline < right.timeline ? left : right;
  const NodeFacts& later = left.timeline < right.timeline ? right : left;
  const bool passes_through = fork_of(later, earlier.timeline).has_value();  // else it is no twin, but another branch
  return passes_through &&
         !std::ranges::equal(earlier.timeline_history,
                             later.timeline_history | std::views::take(earlier.timeline_history.size()));
}

bool on_history_of(const NodeFacts& standby, const NodeFacts& primary) {
  if (standby.system_identifier != primary.system_identifier) return false;
  if (timelines_differ(standby, primary)) return false;
  if (standby.timeline == primary.timeline) return standby.wal_position <= primary.wal_position;
  if (standby.timeline > primary.timeline) return false;
  const auto fork = fork_of(primary, standby.timeline);
  return fork && standby.wal_position <= *fork;
}

bool streams_from(const NodeView& standby, const NodeView& primary) {
  if (!standby.answers_as_standby() || !primary.answers_as_primary()) return false;
  if (standby.facts->system_identifier != primary.facts->system_identifier) return false;
  if (standby.facts->wal_receiver_streaming && standby.facts->wal_receiver_source == primary.address) return true;
  return std::ranges::any_of(primary.facts->wal_senders,
                             [&](const WalSender& sender) {
                               return sender.application_name == standby.name && sender.state == "streaming";
                             }) &&
         standby.facts->wal_receiver_streaming;
}

std::string tell_other_cluster(const NodeView& node) {
  return "is of another cluster (system identifier " + node.facts->system_identifier + ")";
}

std::string why_not_known(const NodeView& node) {
  const Suspicion& suspicion = node.suspicion;
  if (suspicion.failed()) return node.name + " failed: " + suspicion.evidence;
  const std::string& trouble = suspicion.trouble;
  switch (suspicion.liveness) {
    case Liveness::kStarting:
      return node.name + " is starting: it accepts no connections yet";
    case Liveness::kAlive:
    case Liveness::kLate:
      if (trouble.starts_with("53300")) {
        return node.name + " lives, but has no connection left for pgkeel (" + trouble +
               "), so its role is not known; keep one for pgkeel: superuser_reserved_connections, and a monitor role "
               "that may use them";
      }
      if (!trouble.empty()) {
        return node.name + " lives, but does not tell pgkeel what it is (" + trouble +
               "); see to the monitor role, its password and pg_hba.conf";
      }
      [[fallthrough]];
    default:
      return node.name + " has not answered yet" + (trouble.empty() ? "" : " (" + trouble + ")");
  }
}

std::string why_not_configured(const Situation& situation) {
  return situation.memory.primary +
         ", the primary, is not configured any more; choose with `pgkeel serve --adopt NODE`";
}

std::string join_names(const std::vector<std::string>& names) {
  std::string joined;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) joined += i + 1 == names.size() ? " and " : ", ";
    joined += names[i];
  }
  return joined;
}

}  // namespace pgkeel
