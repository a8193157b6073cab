#include "replication/decide/durability.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "replication/decide/candidate.h"
#include "replication/decide/maintenance.h"
#include "replication/decide/orders.h"
#include "replication/decide/retry.h"
#include "replication/model/slot_name.h"
#include "replication/sync/standby_names.h"
#include "replication/sync/sync_planner.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// Commits wait, and a standby flushes nothing more: how long until they wait for it no longer. Where WAL that it has
// written is not flushed its disk is slow, and it has the time that is configured; else it has stopped, or is cut off.
constexpr Duration kStoppedStandbyPatience = 350ms;  // two looks after the first
constexpr Duration kWatchInterval = 200ms;           // of the primary, while that is to be seen

// The primary's walsenders that bear the name of one node.
struct Senders {
  const WalSender* own = nullptr;  // holds the node's slot, and streams
  std::uint32_t others = 0;        // that stream under its name: pg_receivewal, a clone, a subscription
};

Senders senders_of(const NodeFacts& primary, const std::string& node) {
  Senders found;
  for (const auto& sender : primary.wal_senders) {
    if (sender.application_name != node || sender.state != "streaming") continue;
    const bool holds_slot = std::ranges::any_of(primary.slots, [&](const PhysicalSlot& slot) {
      return slot.active_pid == sender.pid && is_slot_of_node(slot.name, node);
    });
    if (holds_slot) found.own = &sender;
    found.others += holds_slot ? 0 : 1;
  }
  return found;
}

// What it acknowledges is of use: it can be promoted.
bool could_be_promoted(const NodeView& standby, const NodeFacts* primary) {
  if (standby.priority == 0) return false;
  return standby.facts == nullptr || why_never_promoted(standby, primary).empty();
}

bool is_paused(const NodeView& standby) {
  return standby.facts != nullptr && standby.facts->replay_paused;
}

// Commits ceased to wait for it again and again, and do without it for a while.
const StandbyRest* rest_of(const Situation& situation, const std::string& standby) {
  const auto found = situation.view.rests.find(standby);
  const bool rests = found != situation.view.rests.end() && situation.now.instant < found->second.until;
  return rests ? &found->second : nullptr;
}

// Those that commits may wait for. One that is out for maintenance only where there is nobody else, so that what is
// promised strictly is kept.
std::vector<std::string> configured_standbys(const Situation& situation, const std::string& primary) {
  std::vector<std::string> present;
  std::vector<std::string> out;
  for (const auto& node : situation.view.nodes) {
    if (node.name == primary || node.priority == 0) continue;
    (is_out(situation.memory, node.name) ? out : present).push_back(node.name);
  }
  return present.empty() ? out : present;
}

// What the primary says of its synchronous replication, beside what was ordered.
class PrimarySync {
 public:
  PrimarySync(const Situation& situation, const NodeView& primary)
      : situation_(situation),
        primary_(primary),
        facts_(*primary.facts),
        ordered_(standby_names_text(situation.memory.standby_names)),
        in_force_(facts_.synchronous_standby_names == ordered_) {}

  [[nodiscard]] const std::string& ordered() const { return ordered_; }  // as text
  [[nodiscard]] bool in_force() const { return in_force_; }

  // The run that carried out the newest order, where the facts are newer.
  [[nodiscard]] const ActionStatus* carried_out() const {
    const ActionStatus* status = situation_.current_action(ActionKind::kSetStandbyNames, primary_.name);
    const bool done = status != nullptr && !status->running && status->succeeded &&
                      status->action.standby_names_order == situation_.memory.standby_names_order &&
                      primary_.facts_at > status->finished_at;
    return done ? status : nullptr;
  }

  [[nodiscard]] bool settled() const {
    const ActionStatus* status = carried_out();
    return status != nullptr && in_force() &&
           std::ranges::all_of(situation_.memory.standby_names.members, [&](const std::string& member) {
             const Senders senders = senders_of(facts_, member);
             const bool counts = senders.own != nullptr && senders.others == 0 && !is_made_anew(member) &&
                                 (senders.own->sync_state == "sync" || senders.own->sync_state == "quorum");
             return counts && status->waited_from && senders.own->flushed >= *status->waited_from;
           });
  }

  // What commits may have been acknowledged by. Somebody else may have changed the setting.
  [[nodiscard]] SyncQuorum weakest_in_force() const {
    const ClusterMemory& memory = situation_.memory;
    if (in_force()) return carried_out() != nullptr ? memory.standby_names : memory.standby_names_in_force;
    const auto names = parse_standby_names(facts_.synchronous_standby_names);
    return names ? mixture(memory.standby_names_in_force, *names) : SyncQuorum{};
  }

  // Walsenders that bear the name of a member, and are not its own.
  [[nodiscard]] std::uint32_t impostors(const SyncQuorum& names) const {
    std::uint32_t count = 0;
    for (const auto& member : names.members) count += senders_of(facts_, member).others;
    return count;
  }

  // What the run of the newest order found, or is about to find, proves nothing: meanwhile commits may have been
  // acknowledged without the standbys that it names.
  [[nodiscard]] bool is_outdated() const {
    const ClusterMemory& memory = situation_.memory;
    const ActionStatus* run = situation_.current_action(ActionKind::kSetStandbyNames, primary_.name);
    const bool is_of_newest_order = run != nullptr && (run->running || run->succeeded) &&
                                    run->action.standby_names_order == memory.standby_names_order;
    if (!is_of_newest_order || primary_.facts_at <= run->started_at) return false;
    if (impostors(memory.standby_names) > 0 || (carried_out() != nullptr && !in_force())) return true;
    return weakest_in_force() != memory.standby_names_in_force && !in_force();
  }

  [[nodiscard]] SyncQuorum goal() const {
    const SyncQuorum& present = situation_.memory.standby_names;
    std::vector<std::string> reliable, paused;
    for (const auto& node : situation_.view.nodes) {
      const bool counts = &node != &primary_ && node.priority > 0 && !is_out(situation_.memory, node.name);
      if (!counts || !is_reliable(node)) continue;
      (is_paused(node) ? paused : reliable).push_back(node.name);
    }
    // One whose replay is paused holds the commits too, but its walreceiver does not end before its replay goes on. So
    // it cannot be cut off an old primary, which several must be, and one need not.
    if (reliable.empty() && !paused.empty()) {
      const auto waited_for = std::ranges::find_if(paused, [&](const auto& node) { return present.contains(node); });
      reliable = {waited_for == paused.end() ? paused.front() : *waited_for};
    }
    if (!reliable.empty() || situation_.policy.durability != Durability::kStrict) return quorum_of(std::move(reliable));
    // A standby that was taken out of the configuration is not waited for.
    std::vector<std::string> configured = configured_standbys(situation_, primary_.name);
    const bool all_are_configured = std::ranges::all_of(present.members, [&](const std::string& member) {
      return std::ranges::find(configured, member) != configured.end();
    });
    return present.empty() || !all_are_configured ? quorum_of(std::move(configured)) : present;
  }

  // A new walsender begins with what the postmaster has read last: not what sessions show, if it was changed to and
  // fro.
  [[nodiscard]] bool passes_over_a_member(const SyncQuorum& wanted) const {
    return std::ranges::any_of(facts_.wal_senders, [&](const WalSender& sender) {
      return wanted.contains(sender.application_name) && sender.flushed.valid() && sender.sync_state == "async";
    });
  }

  // A standby that commits wait for stopped answering after the primary was asked.
  [[nodiscard]] bool lost_since_asked() const {
    return std::ranges::any_of(situation_.memory.standby_names.members, [&](const std::string& member) {
      const NodeView* node = situation_.view.node(member);
      return node != nullptr && node->suspicion.liveness != Liveness::kAlive &&
             node->suspicion.since > primary_.facts_at;
    });
  }

  // While commits wait: what is known of the standbys must be news.
  [[nodiscard]] bool is_to_be_watched() const {
    return std::ranges::any_of(situation_.view.flushes, [](const auto& entry) {
      const FlushProgress& flush = entry.second;
      return flush.stands_still_since || (flush.replay_stands_still_since && !flush.replay_holds_commits);
    });
  }

  // Is its disk slow, or has it stopped?
  void ask_those_that_stand_still(Decision& decision) const {
    for (const auto& [name, flush] : situation_.view.flushes) {
      const NodeView* node = situation_.view.node(name);
      const bool is_asked = node != nullptr && flush.stands_still_since && node->facts_at < *flush.stands_still_since;
      if (is_asked && node->answering()) ask(situation_, *node, kWatchInterval, decision);
    }
  }

  // A standby that commits wait for has just gone: was it the standby, or the primary?
  [[nodiscard]] bool asks_for_confirmation() const {
    return std::ranges::any_of(situation_.memory.standby_names.members, [&](const std::string& member) {
      const NodeView* node = situation_.view.node(member);
      const auto found = situation_.view.flushes.find(member);
      return node != nullptr && found != situation_.view.flushes.end() && is_to_be_confirmed(*node, found->second);
    });
  }

 private:
  // What the primary was last told of its flushes is no longer on its disk, or will not be.
  [[nodiscard]] bool is_made_anew(const std::string& standby) const {
    const ActionStatus* rejoin = situation_.view.action(ActionKind::kRejoin, standby);
    return rejoin != nullptr && (rejoin->running || rejoin->finished_at >= primary_.facts_at);
  }

  // The walsenders of a primary whose postmaster dies end first, and what still answers shows none: a second answer
  // tells.
  [[nodiscard]] bool is_to_be_confirmed(const NodeView& standby, const FlushProgress& flush) const {
    return situation_.memory.standby_names.contains(standby.name) && flush.gone_since == primary_.facts_at &&
           standby.suspicion.liveness != Liveness::kDead;
  }

  [[nodiscard]] bool is_reliable(const NodeView& node) const {
    const Senders senders = senders_of(facts_, node.name);
    const auto found = situation_.view.flushes.find(node.name);
    const FlushProgress flush = found == situation_.view.flushes.end() ? FlushProgress{} : found->second;
    if (is_to_be_confirmed(node, flush)) return true;
    if (senders.own == nullptr || senders.others > 0 || !could_be_promoted(node, &facts_)) return false;
    if (is_made_anew(node.name) || flush.replay_holds_commits) return false;
    if (!situation_.memory.standby_names.contains(node.name))
      return flush.keeps_up && streams_from(node, primary_) && node.facts->timeline == facts_.timeline &&
             !timelines_differ(*node.facts, facts_) && rest_of(situation_, node.name) == nullptr;
    const Liveness liveness = node.suspicion.liveness;
    if (liveness == Liveness::kDead || liveness == Liveness::kStuck) return false;
    // Where the primary is silent too it cannot be told, and the silence may be on our side.
    if (!flush.stands_still_since || primary_.suspicion.liveness != Liveness::kAlive) return true;
    const bool may_be_slow = liveness == Liveness::kAlive && !does_nothing_since(node, *flush.stands_still_since);
    const Duration patience = may_be_slow ? situation_.policy.slow_standby_timeout : kStoppedStandbyPatience;
    return primary_.facts_at - *flush.stands_still_since < patience;
  }

  // It has flushed all that came to it: nothing comes, or what it says of it does not come back to the primary.
  [[nodiscard]] static bool does_nothing_since(const NodeView& standby, Instant since) {
    return standby.facts != nullptr && standby.facts_at >= since &&
           standby.facts->wal_receiver_written <= standby.facts->wal_position;
  }

  const Situation& situation_;
  const NodeView& primary_;
  const NodeFacts& facts_;
  const std::string ordered_;
  const bool in_force_;
};

// The primary, where its facts say what commits wait for.
const NodeView* settable_primary(const Situation& situation) {
  const NodeView* primary = situation.primary();
  const bool settable = primary != nullptr && primary->answers_as_primary() &&
                        primary->facts->system_identifier == situation.memory.system_identifier &&
                        primary->facts->timeline >= situation.memory.timeline &&
                        primary->facts->synchronous_standby_names != kFencingStandbyName;
  return settable ? primary : nullptr;
}

}  // namespace

bool commits_are_kept(const FailoverPolicy& policy) {
  return policy.durability != Durability::kAsync;
}

bool safety_is_demanded(const Situation& situation) {
  return commits_are_kept(situation.policy) && !loss_is_accepted(situation);
}

void plan_durability(const Situation& situation, ClusterMemory& next) {
  const NodeView* primary = settable_primary(situation);
  if (primary == nullptr || situation.adoption_is_open()) return;
  const PrimarySync sync(situation, *primary);
  if (!commits_are_kept(situation.policy)) {
    next.promise = next.standby_names_in_force = {};
    next.opens_when_commits_wait = false;
    const ActionStatus* released = sync.carried_out();
    if (released != nullptr && released->action.standby_names.empty()) next.standby_names = {};
    return;
  }
  const SyncQuorum goal = sync.goal();
  const bool commits_wait = sync.carried_out() != nullptr && sync.in_force() && !next.standby_names.empty();
  if (commits_wait || goal.empty()) next.opens_when_commits_wait = false;
  SyncState state{.promise = next.promise, .standby_names = next.standby_names, .in_force = sync.weakest_in_force()};
  state.impostors = sync.impostors(mixture(state.in_force, state.standby_names));
  state.settled = sync.settled();
  const bool is_there =
      state.impostors == 0 && state.promise == goal && state.standby_names == goal && state.in_force == goal;
  // Each step is safe by what is remembered alone, so all that need no waiting are remembered at once.
  if (!is_there) state = after_all_steps(std::move(state), goal);
  if (sync.is_outdated() || state.standby_names != next.standby_names) next.standby_names_order += 1;
  next.promise = std::move(state.promise);
  next.standby_names = std::move(state.standby_names);
  next.standby_names_in_force = std::move(state.in_force);
}

bool enforce_durability(const Situation& situation, Decision& decision) {
  const NodeView* primary = settable_primary(situation);
  if (primary == nullptr) return false;
  const ClusterMemory& memory = situation.memory;
  const bool kept = commits_are_kept(situation.policy);
  if (!kept && memory.standby_names.empty()) return true;
  const PrimarySync sync(situation, *primary);
  const SyncQuorum wanted = kept ? memory.standby_names : SyncQuorum{};
  const std::string text = kept ? sync.ordered() : "";
  const ActionStatus* last = situation.current_action(ActionKind::kSetStandbyNames, primary->name);
  const bool was_set = last != nullptr && last->succeeded && last->action.standby_names == text &&
                       last->action.standby_names_order == memory.standby_names_order;
  const bool facts_are_news = last == nullptr || primary->facts_at > last->finished_at;
  const bool differs =
      facts_are_news && (primary->facts->synchronous_standby_names != text || sync.passes_over_a_member(wanted));
  // A session may show what was ordered although not every process has read it: the order is carried out all the same.
  const bool was_in_vain = last != nullptr && !last->running && !last->succeeded &&
                           last->action.standby_names_order == memory.standby_names_order;
  const bool unproven =
      !was_set && (was_in_vain || memory.promise != wanted) && sync.impostors(memory.standby_names) == 0;
  if ((differs || unproven) &&
      may_start(situation, ActionKind::kSetStandbyNames, primary->name, decision.decide_again_at)) {
    Action action = make_action(ActionKind::kSetStandbyNames, primary->name, memory.epoch);
    action.standby_names = text;
    action.standby_names_order = memory.standby_names_order;
    decision.actions.push_back(std::move(action));
  }
  const bool wait_for_news = was_set && memory.promise != wanted;
  sync.ask_those_that_stand_still(decision);
  if (sync.lost_since_asked() || sync.asks_for_confirmation()) {
    ask(situation, *primary, kWatchInterval, decision);
  } else if (sync.is_to_be_watched() || wait_for_news) {
    const Instant due = primary->facts_at + kWatchInterval;
    if (situation.now.instant >= due) {
      ask(situation, *primary, kWatchInterval, decision);
    } else {
      decision.decide_again_at = std::min(decision.decide_again_at, due);
    }
  }
  for (const auto& node : situation.view.nodes) {
    const StandbyRest* rest = kept ? rest_of(situation, node.name) : nullptr;
    if (rest != nullptr) decision.decide_again_at = std::min(decision.decide_again_at, rest->until);
  }
  return std::ranges::all_of(situation.view.nodes, [&](const NodeView& node) {
    return &node == primary || node.priority == 0 || !kept || memory.promise.contains(node.name) ||
           is_out(memory, node.name);
  });
}

SyncQuorum first_standby_names(const Situation& situation, const std::string& candidate) {
  const bool waits_at_once = situation.policy.durability == Durability::kStrict;
  return waits_at_once ? quorum_of(configured_standbys(situation, candidate)) : SyncQuorum{};
}

void set_standby_names_of(const Situation& situation, const SyncQuorum& standby_names, Action& promotion) {
  promotion.standby_names = standby_names_text(standby_names);
  // One that is a primary already is seen to be fenced.
  const ActionStatus* fence = situation.view.action(ActionKind::kFence, promotion.node);
  promotion.sets_names_anyway =
      situation.memory.phase == Phase::kPromoting && fence != nullptr && fence->fence != FenceStrength::kProvenStopped;
  promotion.commits_must_wait = situation.policy.durability == Durability::kStrict && !standby_names.empty();
}

std::string tell_promotion(const Situation& situation, const NodeView& candidate) {
  const ActionStatus* promotion = situation.current_action(ActionKind::kPromote, candidate.name);
  if (promotion == nullptr) return "";
  const bool awaits_commits = promotion->running && promotion->action.commits_must_wait &&
                              candidate.answers_as_primary() && candidate.facts_at > promotion->started_at;
  return (awaits_commits ? std::string(", which is a primary now, and opened when its commits are seen to wait") : "") +
         (promotion->failures > 0 ? ": " + promotion->last_failure : "");
}

std::string tell_kept_closed(const Situation& situation, const NodeView& primary) {
  const ActionStatus* set = situation.current_action(ActionKind::kSetStandbyNames, primary.name);
  return primary.name +
         " is primary, and not opened to clients before its commits wait for a standby (durability = " + "\"strict\")" +
         (set != nullptr && set->failures > 0 ? ": " + set->last_failure : "");
}

std::string safety_of(const Situation& situation, const std::string& standby) {
  if (!commits_are_kept(situation.policy)) return "";
  if (situation.memory.promise.contains(standby)) return ", safe";
  const NodeView* node = situation.view.node(standby);
  const NodeView* primary = situation.primary();
  const NodeFacts* facts_of_primary = primary != nullptr && primary->facts ? primary->facts.get() : nullptr;
  if (node != nullptr && !could_be_promoted(*node, facts_of_primary))
    return ", never safe: it cannot be promoted as it is";
  if (facts_of_primary != nullptr && senders_of(*facts_of_primary, standby).others > 0)
    return ", not safe: something else streams from " + primary->name + " under its name";
  const auto flush = situation.view.flushes.find(standby);
  if (flush != situation.view.flushes.end() && flush->second.replay_holds_commits)
    return ", not safe: commits that waited until it has replayed them (synchronous_commit = remote_apply) hung, and "
           "do without it until its replay goes on";
  if (const StandbyRest* rest = rest_of(situation, standby); rest != nullptr)
    return ", not safe: commits ceased to wait for it " + std::to_string(rest->releases) +
           " times within 10 minutes, so they do without it for " + format_duration(rest->pause);
  if (node != nullptr && is_paused(*node) && !situation.memory.promise.empty())
    return ", not safe: commits wait for another one while its replay is paused";
  return ", not safe yet";
}

}  // namespace pgkeel
