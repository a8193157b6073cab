#include "proxy/app/reload_rules.h"

#include <algorithm>

#include "config/find.h"

namespace pgkeel {
namespace {

bool works_on_files(ActionKind kind) {
  return kind == ActionKind::kRejoin || kind == ActionKind::kStartServer || kind == ActionKind::kStopServer;
}

// A node that goes, or is another server from now on, or is reached and handled in another way.
enum class NodeChange { kNone, kGone, kMoved, kHandledOtherwise };

NodeChange change_of(const NodeConfig& running, const NodeConfig* wanted) {
  if (wanted == nullptr) return NodeChange::kGone;
  if (wanted->address != running.address) return NodeChange::kMoved;
  if (wanted->local != running.local || wanted->agent != running.agent) return NodeChange::kHandledOtherwise;
  return NodeChange::kNone;
}

// What a decision that is under way counts on this node for; empty: nothing.
std::string part_of(const std::string& node, const ClusterMemory& memory) {
  if (node == memory.primary) return "is the primary";
  if (node == memory.candidate) return "is being promoted";
  if (node == memory.abandoned_candidate) return "was told to promote, and may be a primary";
  return "";
}

}  // namespace

std::vector<std::string> reload_refusals(const ClusterConfig& running, const ClusterConfig* wanted,
                                         const ClusterMemory& memory, const std::vector<ActionStatus>& actions) {
  const std::string cluster = "cluster." + running.name;
  std::vector<std::string> reasons;
  const bool is_settled = memory.phase == Phase::kSteady || memory.phase == Phase::kUnadopted ||
                          memory.phase == Phase::kStopped || memory.phase == Phase::kTornDown;
  if (wanted == nullptr && !is_settled) {
    reasons.push_back(cluster + ": cannot be removed while its primary changes (phase " + phase_name(memory.phase) +
                      "); reload again when that is over");
    return reasons;
  }
  for (const auto& node : running.nodes) {
    const NodeChange change = change_of(node, find_node_config(wanted, node.name));
    if (change == NodeChange::kNone) continue;
    const std::string path = cluster + ".node." + node.name + ": ";
    const auto work = std::ranges::find_if(actions, [&](const ActionStatus& status) {
      return status.running && status.action.node == node.name && works_on_files(status.action.kind);
    });
    if (work != actions.end()) {
      reasons.push_back(path + "cannot be changed while \"" + action_name(work->action.kind) + " " + node.name +
                        "\" runs; reload again when it has ended");
      continue;
    }
    if (wanted == nullptr || change == NodeChange::kHandledOtherwise) continue;
    const std::string what =
        change == NodeChange::kGone ? "cannot be removed: it " : "cannot have another address: it ";
    if (const std::string part = part_of(node.name, memory); !part.empty()) {
      const bool is_primary = node.name == memory.primary && is_settled;
      reasons.push_back(path + what + part +
                        (is_primary ? "; make another node the primary first: pgkeel switchover " + running.name
                                    : "; reload again when that is over"));
    } else if (!is_settled) {
      reasons.push_back(path + (change == NodeChange::kGone ? "cannot be removed" : "cannot have another address") +
                        " while the primary changes (phase " + phase_name(memory.phase) +
                        "); reload again when that is over");
    }
  }
  return reasons;
}

std::vector<std::string> reload_notes(const ClusterConfig& running, const ClusterConfig* wanted) {
  const std::string cluster = "cluster." + running.name;
  std::vector<std::string> notes;
  if (wanted == nullptr) {
    notes.push_back(cluster +
                    ": its clients end with 57P01; its servers are left as they are, and its state stays on disk");
    return notes;
  }
  if (wanted->allow != running.allow)
    notes.push_back(cluster + ".allow: sessions that are there stay, also from networks that are not allowed any more");
  if (wanted->listen != running.listen)
    notes.push_back(cluster + ".listen: sessions that are there stay; new clients must come to the new address");
  if (running.has_read_only_endpoint() && !wanted->has_read_only_endpoint())
    notes.push_back(cluster + ".listen_read_only: the clients of the read-only endpoint end with 57P01");
  else if (running.has_read_only_endpoint() && wanted->listen_read_only != running.listen_read_only)
    notes.push_back(cluster +
                    ".listen_read_only: sessions that are there stay; new clients must come to the new address");
  for (const auto& node : running.nodes) {
    if (change_of(node, find_node_config(wanted, node.name)) != NodeChange::kGone) continue;
    notes.push_back(cluster + ".node." + node.name +
                    ": its server is left as it is: stop it, or it goes on as a standby and keeps its slot in use; "
                    "the slot is dropped when nothing streams from it");
  }
  return notes;
}

}  // namespace pgkeel
