#include "tests/scenarios/scripted_cluster.h"

#include <algorithm>
#include <stdexcept>

namespace pgkeel::scenarios {
namespace {

using namespace std::chrono_literals;

// "1(b,c)"
SyncQuorum quorum_of_text(const std::string& text) {
  if (text.empty()) return {};
  const auto open = text.find('(');
  return {split(text.substr(open + 1, text.size() - open - 2), ','), static_cast<std::uint32_t>(std::stoul(text))};
}

constexpr int kMostRounds = 100;  // more decisions without anything new: a busy loop

}  // namespace

ScriptedCluster::Command ScriptedCluster::command(const std::string& word) {
  static const std::map<std::string, Command> kCommands = {
      {"nodes", &ScriptedCluster::define_nodes},  {"policy", &ScriptedCluster::set_policy},
      {"memory", &ScriptedCluster::set_memory},   {"primary", &ScriptedCluster::set_primary},
      {"standby", &ScriptedCluster::set_standby}, {"advance", &ScriptedCluster::advance},
      {"refuses", &ScriptedCluster::refuse},      {"applied", &ScriptedCluster::apply_route},
      {"workers", &ScriptedCluster::set_workers}, {"probes", &ScriptedCluster::set_probes},
      {"probed", &ScriptedCluster::probed},       {"store", &ScriptedCluster::set_store},
      {"done", &ScriptedCluster::finish_action},  {"failed", &ScriptedCluster::finish_action},
      {"fenced", &ScriptedCluster::finish_fence}, {"examined", &ScriptedCluster::finish_examination},
      {"restart", &ScriptedCluster::restart},     {"show", &ScriptedCluster::show},
      {"events", &ScriptedCluster::show_events},  {"order", &ScriptedCluster::give_order},
      {"preview", &ScriptedCluster::give_order},  {"drained", &ScriptedCluster::drain_route},
      {"stopped", &ScriptedCluster::finish_stop}, {"reload", &ScriptedCluster::reload},
      {"host", &ScriptedCluster::set_host},
  };
  if (liveness_of(word)) return &ScriptedCluster::set_liveness;
  const auto found = kCommands.find(word);
  if (found == kCommands.end()) throw std::runtime_error("no such command: " + word);
  return found->second;
}

std::string ScriptedCluster::run(const std::vector<std::string>& commands) {
  output_.clear();
  for (const auto& line : commands) {
    const Arguments arguments = parse_arguments(line);
    (this->*command(arguments.word))(arguments);
  }
  settle();
  return output_;
}

// ---- what the world is like ----------------------------------------------------------------------------------------

// nodes a b c(remote) d(remote,priority=0)
void ScriptedCluster::define_nodes(const Arguments& arguments) {
  for (const auto& word : arguments.plain) {
    ScriptedNode made = parse_node(word, nodes_.size() + 1);
    for (const auto& other : nodes_) {
      if (other.name == made.name) throw std::runtime_error("nodes: " + made.name + " is there already");
    }
    nodes_.push_back(std::move(made));
    scenarios::set_liveness(nodes_.back(), Liveness::kUnknown, now_.instant);
  }
}

void ScriptedCluster::set_policy(const Arguments& arguments) {
  for (const auto& [key, value] : arguments.named) {
    if (key == "failover") {
      policy_.mode = value == "manual" ? FailoverMode::kManual : FailoverMode::kAutomatic;
    } else if (key == "durability") {
      policy_.durability = value == "strict"      ? Durability::kStrict
                           : value == "available" ? Durability::kAvailable
                                                  : Durability::kAsync;
    } else if (key == "auto_rejoin") {
      policy_.auto_rejoin = value == "on";
    } else if (key == "pause") {
      policy_.failover_pause = parse_duration(value);
    } else if (key == "path_cut") {
      policy_.when_path_cut = value == "wait" ? PathCutPolicy::kWait : PathCutPolicy::kFailoverIfSafe;
    } else if (key == "drain") {
      policy_.drain_timeout = parse_duration(value);
    } else if (key == "preferred") {
      policy_.preferred = value;
    } else if (key == "adopt") {
      policy_.adopt = value;
    } else {
      throw std::runtime_error("policy: no such key: " + key);
    }
  }
}

// reload without=b,c · policy failover=manual, reload: what was defined since is in force
void ScriptedCluster::reload(const Arguments& arguments) {
  const std::vector<std::string> gone =
      arguments.has("without") ? split(arguments.named.at("without"), ',') : std::vector<std::string>();
  std::erase_if(nodes_, [&](const ScriptedNode& each) { return std::ranges::find(gone, each.name) != gone.end(); });
  std::vector<NodeConfig> configs;
  for (const auto& each : nodes_) configs.emplace_back().name = each.name;
  for (const auto& name : gone) last_notes_.erase(name);
  if (controller_) controller_->reconfigure(policy_, configs);
}

void ScriptedCluster::set_memory(const Arguments& arguments) {
  const auto text = [&](const char* key) { return arguments.has(key) ? arguments.named.at(key) : std::string(); };
  ClusterMemory memory;
  for (const Phase phase : kAllPhases) {
    if (arguments.at(0) == phase_name(phase)) memory.phase = phase;
  }
  memory.epoch = arguments.has("epoch") ? std::stoull(text("epoch")) : 1;
  memory.primary = text("primary");
  memory.candidate = text("candidate");
  memory.abandoned_candidate = text("abandoned");
  memory.reason = "as the scenario says";
  memory.system_identifier = arguments.has("system") ? text("system") : "7000";
  memory.timeline = arguments.has("timeline") ? static_cast<Timeline>(std::stoul(text("timeline"))) : 1;
  for (const auto& old : split(text("old"), ',')) memory.nodes[old].old_primary = true;
  for (const auto& kept : split(text("kept"), ',')) {
    const auto colon = kept.find(':');
    memory.kept_slots.insert({kept.substr(0, colon), kept.substr(colon + 1)});
  }
  memory.logical_slots.primary = text("slots_of");
  for (const auto& slot : split(text("logical"), ',')) memory.logical_slots.slots.push_back({slot, "app", "pgoutput"});
  memory.promise = quorum_of_text(text("promise"));
  memory.standby_names = memory.standby_names_in_force = quorum_of_text(text("names"));
  if (arguments.has("failed_over")) memory.automatic_failovers = {now_.wall - parse_duration(text("failed_over"))};
  stored_ = memory;
  controller_.reset();
}

void ScriptedCluster::tell_again(ScriptedNode& node) {
  node.tells_nothing = false;
  node.suspicion.trouble.clear();
}

// primary a timeline=1 wal=0/3000 history=1@0/2000 slots=pgkeel_b system=7000
void ScriptedCluster::set_primary(const Arguments& arguments) {
  ScriptedNode& changed = node(arguments.at(0));
  changed.in_recovery = false;
  changed.from.clear();
  changed.slot.clear();
  set_facts(changed, arguments);
  tell_again(changed);
  scenarios::set_liveness(changed, Liveness::kAlive, now_.instant);
}

// standby b from=a slot=pgkeel_b timeline=1 wal=0/3000 delay=5m heard=100ms paused unnamed
void ScriptedCluster::set_standby(const Arguments& arguments) {
  ScriptedNode& changed = node(arguments.at(0));
  changed.in_recovery = true;
  set_facts(changed, arguments);
  tell_again(changed);
  scenarios::set_liveness(changed, Liveness::kAlive, now_.instant);
}

// dead a · alive a b · silent c
void ScriptedCluster::set_liveness(const Arguments& arguments) {
  for (const auto& name : arguments.plain) {
    tell_again(node(name));
    scenarios::set_liveness(node(name), *liveness_of(arguments.word), now_.instant);
  }
}

// refuses a 53300: sorry, too many clients already: it lives, and tells the probe nothing
void ScriptedCluster::refuse(const Arguments& arguments) {
  ScriptedNode& changed = node(arguments.at(0));
  scenarios::set_liveness(changed, Liveness::kAlive, now_.instant);
  changed.tells_nothing = true;
  changed.suspicion.trouble = arguments.rest(1);
  changed.suspicion.evidence = "alive (" + changed.suspicion.trouble + ")";
}

// host a room=500 wal_room=50 (MiB that are free) · host a away: nobody is there who could act · host a back
void ScriptedCluster::set_host(const Arguments& arguments) {
  ScriptedNode& changed = node(arguments.at(0));
  for (const char* disk : {"room", "wal_room"}) {
    if (arguments.has(disk)) changed.room[disk] = std::stoull(arguments.named.at(disk)) << 20;
  }
  if (arguments.flag("away") || arguments.flag("back")) changed.local = arguments.flag("back");
}

void ScriptedCluster::set_store(const Arguments& arguments) {
  store_error_ = arguments.at(0) == "works" ? "" : "no space left on device";
}

void ScriptedCluster::set_workers(const Arguments& arguments) {
  workers_wait_ = arguments.at(0) == "wait";
}

void ScriptedCluster::set_probes(const Arguments& arguments) {
  probes_wait_ = arguments.at(0) == "wait";
}

// ---- what happens --------------------------------------------------------------------------------------------------

void ScriptedCluster::advance(const Arguments& arguments) {
  settle();
  const Duration span = parse_duration(arguments.at(0));
  const Instant until = now_.instant + span;
  const auto move_to = [&](Instant when) {
    now_.wall += when - now_.instant;
    now_.instant = when;
    if (!probes_wait_) ask_all();
    settle();
  };
  int rounds = 0;
  while (controller_->decide_again_at() < until) {
    if (controller_->decide_again_at() <= now_.instant || ++rounds > kMostRounds)
      throw std::runtime_error("advance: the controller wants to decide again and again");
    move_to(controller_->decide_again_at());
  }
  move_to(until);
}

void ScriptedCluster::apply_route(const Arguments&) {
  settle();
  if (unapplied_.empty()) throw std::runtime_error("applied: no route waits for it");
  const RouteOrder order = unapplied_.front();
  unapplied_.erase(unapplied_.begin());
  controller_->route_applied(order);
  say("applied: " + text_of(order));
}

void ScriptedCluster::probed(const Arguments& arguments) {
  settle();
  for (const auto& name : arguments.plain) {
    ScriptedNode& asked = node(name);
    asked.facts = std::make_shared<const NodeFacts>(facts_of(asked, nodes_));
    asked.facts_at = now_.instant;
  }
}

std::optional<ActionStatus> ScriptedCluster::running(ActionKind kind, const std::string& name) {
  for (const auto& status : controller_->actions()) {
    if (status.running && status.action.kind == kind && status.action.node == name) return status;
  }
  return std::nullopt;
}

void ScriptedCluster::report(ActionStatus outcome) {
  controller_->finished(outcome, now_);
}

// done promote b · failed rejoin a no space left copied=yes · failed keep_slot b all are in use made=no · done follow b
// missing=0/3000 · done keep_slot b taken=yes · done set_standby_names a waited_from=0/3000: what it sets is set
void ScriptedCluster::finish_action(const Arguments& arguments) {
  settle();
  auto outcome = running(kind_of(arguments.at(0)), arguments.at(1));
  if (!outcome) throw std::runtime_error(arguments.word + ": this action is not running");
  outcome->succeeded = arguments.word == "done";
  outcome->message = arguments.rest(2);
  outcome->name_is_taken = outcome->action.is_new && arguments.has("taken");
  outcome->nothing_was_made = outcome->action.is_new && arguments.has("made");
  outcome->copied = arguments.has("copied");
  if (arguments.has("missing")) outcome->missing_from = lsn_of(arguments.named.at("missing"));
  if (arguments.has("waited_from")) outcome->waited_from = lsn_of(arguments.named.at("waited_from"));
  const bool sets_names =
      outcome->action.kind == ActionKind::kSetStandbyNames || outcome->action.kind == ActionKind::kPromote;
  if (outcome->succeeded && sets_names) node(arguments.at(1)).standby_names = outcome->action.standby_names;
  report(*outcome);
}

// fenced a proven · fenced a weak · fenced a none
void ScriptedCluster::finish_fence(const Arguments& arguments) {
  settle();
  auto outcome = running(ActionKind::kFence, arguments.at(0));
  if (!outcome) throw std::runtime_error("fenced: no fence is running");
  const std::string& strength = arguments.at(1);
  outcome->fence = strength == "proven" ? FenceStrength::kProvenStopped
                   : strength == "weak" ? FenceStrength::kWeak
                                        : FenceStrength::kNone;
  outcome->succeeded = outcome->fence != FenceStrength::kNone;
  if (!outcome->succeeded) outcome->message = "could not be reached";
  report(*outcome);
}

// examined a stopped timeline=1 wal=0/3000 · examined a running
void ScriptedCluster::finish_examination(const Arguments& arguments) {
  settle();
  auto outcome = running(ActionKind::kExamine, arguments.at(0));
  if (!outcome) throw std::runtime_error("examined: no examination is running");
  Examination found;
  found.proven_stopped = arguments.at(1) == "stopped";
  if (arguments.has("timeline")) found.timeline = static_cast<Timeline>(std::stoul(arguments.named.at("timeline")));
  if (arguments.has("wal")) found.end_of_wal = lsn_of(arguments.named.at("wal"));
  outcome->succeeded = true;
  outcome->examination = found;
  report(*outcome);
}

// stopped a clean timeline=1 wal=0/3000 · stopped a crashed: nothing of it runs any more
void ScriptedCluster::finish_stop(const Arguments& arguments) {
  settle();
  auto outcome = running(ActionKind::kStopServer, arguments.at(0));
  if (!outcome) throw std::runtime_error("stopped: nothing is being stopped");
  ScriptedNode& stopped = node(arguments.at(0));
  Examination found;
  found.proven_stopped = true;
  found.shut_down_cleanly = arguments.at(1) == "clean";
  found.timeline = stopped.timeline;
  found.end_of_wal = arguments.has("wal") ? lsn_of(arguments.named.at("wal")) : stopped.wal;
  outcome->succeeded = true;
  outcome->examination = found;
  now_.instant += 1ms;  // facts of now are older
  now_.wall += 1ms;
  scenarios::set_liveness(stopped, Liveness::kDead, now_.instant);
  report(*outcome);
}

// No session of the route, which drains, is in a transaction.
void ScriptedCluster::drain_route(const Arguments&) {
  settle();
  controller_->route_drained(controller_->published_route());
}

// order failover b accept_loss · order rejoin b rebuild discard · order resolve b; preview: the same, and nothing is
// done
void ScriptedCluster::give_order(const Arguments& arguments) {
  settle();
  OperatorOrder order = parse_order(arguments);
  order.given_at = now_.wall;
  const bool preview = arguments.word == "preview";
  const OrderAnswer answer = controller_->give_order(order, preview, node_views(), now_);
  if (!answer.accepted) return say("refused: " + answer.reason);
  say((preview ? "would be accepted: " : "accepted as " + std::to_string(answer.id) + ": ") + answer.consequences);
}

// pgkeel is killed and started again: it has the stored memory, and has heard from nobody.
void ScriptedCluster::restart(const Arguments&) {
  controller_.reset();
  unapplied_.clear();
  last_condition_.clear();
  last_notes_.clear();
  for (auto& each : nodes_) {
    each.facts.reset();
    each.suspicion = {};
    each.tells_nothing = false;
    scenarios::set_liveness(each, Liveness::kUnknown, now_.instant);
  }
}

void ScriptedCluster::show(const Arguments&) {
  settle();
  say(text_of(stored_) + ": " + stored_.reason);
  for (const auto& order : stored_.orders) say(text_of(order));
  const Instant again_at = controller_->decide_again_at();
  say("again: " + (again_at == Instant::max() ? "never" : "in " + format_duration(again_at - now_.instant)));
}

// Every event since the script asked last, or began.
void ScriptedCluster::show_events(const Arguments&) {
  settle();
  if (events_.empty()) say("no events");
  for (const auto& event : std::exchange(events_, {})) say("event: " + event);
}

// ---- what the controller does --------------------------------------------------------------------------------------

Result<ClusterController::Storing> ScriptedCluster::store(const ClusterMemory& memory) {
  if (!store_error_.empty()) {
    say("store: " + store_error_);
    return Error{store_error_};
  }
  const std::string& transition = controller_->last_decision().transition;
  if (!transition.empty()) {
    const Phase from = controller_->memory().phase;
    const auto rows = transitions();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].from == from && rows[i].to == memory.phase && rows[i].why == transition)
        coverage_.transition_rows.insert(i);
    }
    say(std::string(phase_name(from)) + " -> " + phase_name(memory.phase) + ": " + transition);
  }
  coverage_.phases.insert(memory.phase);
  // Whose slots were seen last goes without saying, where there are none.
  ClusterMemory before = stored_;
  before.logical_slots.primary = memory.logical_slots.primary;
  if (before == memory && memory != stored_) {
    stored_ = memory;
    return ClusterController::Storing::kDurable;
  }
  say("store: " + text_of(memory) + (transition.empty() ? "" : ": " + memory.reason));
  stored_ = memory;
  return ClusterController::Storing::kDurable;
}

void ScriptedCluster::publish_route(const RouteOrder& order) {
  say("route: " + text_of(order) + (order.reason.empty() ? "" : ": " + order.reason));
  unapplied_.push_back(order);
}

void ScriptedCluster::start(const Action& action) {
  coverage_.actions.insert(action.kind);
  say("start: " + text_of(action));
}

void ScriptedCluster::record(const Event& event) {
  events_.push_back(event.kind + ": " + event.text);
}

ScriptedNode& ScriptedCluster::node(const std::string& name) {
  for (auto& each : nodes_) {
    if (each.name == name) return each;
  }
  throw std::runtime_error("no such node: " + name);
}

void ScriptedCluster::create_controller() {
  coverage_.phases.insert(stored_.phase);
  controller_ = std::make_unique<ClusterController>("orders", policy_, stored_, *this);
}

void ScriptedCluster::decide() {
  controller_->step(node_views(), now_);
  tell_condition();
}

// Until nothing is left to be told to the controller at this moment.
void ScriptedCluster::settle() {
  if (nodes_.empty()) return;
  if (!controller_) create_controller();
  if (!probes_wait_) ask_all();
  for (int round = 0; round < kMostRounds; ++round) {
    decide();
    if (report_probes()) continue;
    if (!workers_wait_ && !unapplied_.empty()) {
      for (const auto& order : std::exchange(unapplied_, {})) controller_->route_applied(order);
      continue;
    }
    return;
  }
  throw std::runtime_error("the controller decides again and again");
}

void ScriptedCluster::ask_all() {
  for (auto& each : nodes_) {
    if (each.suspicion.liveness != Liveness::kAlive || each.tells_nothing) continue;
    each.facts = std::make_shared<const NodeFacts>(facts_of(each, nodes_));
    each.facts_at = now_.instant;
    each.suspicion.last_heard = now_.instant;
  }
}

// To be asked is all that is reported of a probe; what it finds comes with the facts.
bool ScriptedCluster::report_probes() {
  bool any = false;
  for (const auto& each : nodes_) {
    auto outcome = running(ActionKind::kProbe, each.name);
    if (!outcome) continue;
    outcome->succeeded = true;
    report(*outcome);
    any = true;
  }
  return any;
}

void ScriptedCluster::tell_condition() {
  const Decision& decision = controller_->last_decision();
  const std::string condition = std::string(condition_name(decision.condition)) + ": " + decision.summary;
  if (condition != last_condition_) say("= " + condition);
  last_condition_ = condition;
  for (const auto& [name, note] : decision.notes) {
    if (last_notes_[name] != note) say("  " + name + ": " + note);
  }
  last_notes_ = decision.notes;
}

std::vector<NodeView> ScriptedCluster::node_views() {
  std::vector<NodeView> views;
  for (const auto& each : nodes_) {
    views.push_back(
        {each.name, each.address, each.priority, each.local, "", each.suspicion, each.facts, each.facts_at, each.room});
  }
  return views;
}

}  // namespace pgkeel::scenarios
