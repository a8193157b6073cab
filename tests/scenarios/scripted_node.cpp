#include "tests/scenarios/scripted_node.h"

#include <map>
#include <stdexcept>

#include "replication/sync/standby_names.h"

namespace pgkeel::scenarios {
namespace {

const std::map<std::string, Liveness> kLivenessWords = {
    {"unknown", Liveness::kUnknown},   {"alive", Liveness::kAlive}, {"late", Liveness::kLate},
    {"starting", Liveness::kStarting}, {"stuck", Liveness::kStuck}, {"dead", Liveness::kDead},
    {"silent", Liveness::kSilent}};

const std::map<Liveness, std::string> kEvidence = {{Liveness::kUnknown, "not heard from yet"},
                                                   {Liveness::kAlive, "alive"},
                                                   {Liveness::kLate, "no answer lately"},
                                                   {Liveness::kStarting, "accepts no connections yet"},
                                                   {Liveness::kStuck, "accepted no connections for 2s"},
                                                   {Liveness::kDead, "connection refused twice, 150ms apart"},
                                                   {Liveness::kSilent, "no answer for 3s"}};

// "1(b,c)", or "-" for none, or any other text as it is
std::string standby_names_of(const std::string& value) {
  const auto open = value.find('(');
  if (value == "-") return "";
  if (open == std::string::npos || !value.ends_with(')')) return value;
  return standby_names_text(
      {split(value.substr(open + 1, value.size() - open - 2), ','), static_cast<std::uint32_t>(std::stoul(value))});
}

// changes@0/3000, changes@0/3000(synced), changes(lost)
LogicalSlot parse_logical_slot(const std::string& text) {
  LogicalSlot slot;
  const auto at = text.find('@');
  const auto open = text.find('(');
  slot.name = text.substr(0, std::min(at, open));
  slot.database = "app";
  slot.plugin = "pgoutput";
  if (at != std::string::npos) slot.confirmed_flush = lsn_of(text.substr(at + 1, open - at - 1));
  slot.synced = text.ends_with("(synced)");
  slot.lost = text.ends_with("(lost)");
  return slot;
}

}  // namespace

std::optional<Liveness> liveness_of(const std::string& word) {
  const auto found = kLivenessWords.find(word);
  if (found == kLivenessWords.end()) return std::nullopt;
  return found->second;
}

ScriptedNode parse_node(const std::string& text, std::size_t number) {
  ScriptedNode made;
  const auto parenthesis = text.find('(');
  made.name = text.substr(0, parenthesis);
  made.address = {"10.0.0." + std::to_string(number), 5432};
  if (parenthesis == std::string::npos) return made;
  for (const auto& setting : split(text.substr(parenthesis + 1, text.size() - parenthesis - 2), ',')) {
    if (setting == "remote") {
      made.local = false;
    } else if (setting.starts_with("priority=")) {
      made.priority = static_cast<std::uint32_t>(std::stoul(setting.substr(9)));
    } else {
      throw std::runtime_error("nodes: no such setting: " + setting);
    }
  }
  return made;
}

void set_facts(ScriptedNode& node, const Arguments& arguments) {
  for (const auto& [key, value] : arguments.named) {
    if (key == "timeline") {
      node.timeline = static_cast<Timeline>(std::stoul(value));
    } else if (key == "wal") {
      node.wal = lsn_of(value);
    } else if (key == "history") {
      node.history_known = value != "unknown";
      node.history = node.history_known ? parse_history(value) : std::vector<TimelineFork>{};
    } else if (key == "system") {
      node.system_identifier = value;
    } else if (key == "from") {
      node.from = value == "-" ? "" : value;
    } else if (key == "slot") {
      node.slot = value == "-" ? "" : value;
    } else if (key == "slots") {
      node.slots.clear();
      for (const auto& slot : split(value, ',')) {
        const auto at = slot.find('@');
        if (slot != "-") node.slots[slot.substr(0, at)] = at == std::string::npos ? "" : slot.substr(at + 1);
      }
    } else if (key == "logical") {
      node.logical_slots.clear();
      for (const auto& slot : split(value, ',')) {
        if (slot != "-") node.logical_slots.push_back(parse_logical_slot(slot));
      }
    } else if (key == "prepared") {
      node.prepared = static_cast<std::uint32_t>(std::stoul(value));
    } else if (key == "redo") {
      node.redo = lsn_of(value);
    } else if (key == "written") {
      node.written = lsn_of(value);
    } else if (key == "replayed") {
      node.replayed = lsn_of(value);
    } else if (key == "flushed") {
      node.flushed = lsn_of(value);
    } else if (key == "sessions") {
      node.sessions = static_cast<std::uint32_t>(std::stoul(value));
    } else if (key == "waiting") {
      node.waiting = static_cast<std::uint32_t>(std::stoul(value));
    } else if (key == "names") {
      node.standby_names = standby_names_of(value);
    } else if (key == "delay") {
      node.apply_delay = parse_duration(value);
    } else if (key == "max_connections") {
      node.max_connections = static_cast<std::uint32_t>(std::stoul(value));
    } else if (key == "heard") {
      node.receiver_silence = parse_duration(value);
    } else {
      throw std::runtime_error(arguments.word + ": no such key: " + key);
    }
  }
  for (std::size_t i = 1; i < arguments.plain.size(); ++i) {
    const std::string& flag = arguments.plain[i];
    if (flag == "paused" || flag == "resumed") {
      node.replay_paused = flag == "paused";
    } else if (flag == "replays_own_wal" || flag == "has_replayed") {
      node.replays_own_wal = flag == "replays_own_wal";
    } else if (flag == "target" || flag == "no_target") {
      node.recovery_target = flag == "target";
    } else if (flag == "fenced" || flag == "unfenced") {
      node.fenced = flag == "fenced";
    } else if (flag == "named" || flag == "unnamed") {
      node.named = flag == "named";
    } else if (flag == "passed_over" || flag == "counted") {
      node.passed_over = flag == "passed_over";
    } else if (flag == "impostor" || flag == "alone") {
      node.impostor = flag == "impostor";
    } else if (flag == "caught_up") {
      node.flushed.reset();
      node.written.reset();
      node.replayed.reset();
    } else {
      throw std::runtime_error(arguments.word + ": no such flag: " + flag);
    }
  }
}

void set_liveness(ScriptedNode& node, Liveness liveness, Instant now) {
  if (liveness == Liveness::kAlive) node.suspicion.last_heard = now;
  if (liveness == Liveness::kSilent) node.suspicion.asked_in_vain_at = now;
  if (node.suspicion.liveness == liveness && !node.suspicion.evidence.empty()) return;
  node.suspicion.liveness = liveness;
  node.suspicion.since = now;
  node.suspicion.evidence = kEvidence.at(liveness);
}

NodeFacts facts_of(const ScriptedNode& asked, const std::deque<ScriptedNode>& nodes) {
  NodeFacts facts;
  facts.system_identifier = asked.system_identifier;
  facts.server_version_number = 150020;
  facts.in_recovery = asked.in_recovery;
  facts.timeline = asked.timeline;
  facts.checkpoint_timeline = asked.timeline;
  facts.timeline_history = asked.history;
  facts.timeline_history_known = asked.history_known;
  facts.checkpoint_redo = asked.redo;
  facts.wal_position = asked.wal;
  facts.synchronous_standby_names = asked.fenced ? kFencingStandbyName : asked.standby_names;
  facts.backends_waiting_for_standbys = asked.waiting;
  if (asked.fenced) facts.sessions_despite_fence = asked.sessions;
  const auto waits_for = parse_standby_names(asked.standby_names).value_or(SyncQuorum{});
  facts.replays_own_wal = asked.replays_own_wal;
  facts.replay_paused = asked.replay_paused;
  facts.recovery_min_apply_delay = asked.apply_delay;
  facts.recovery_target_set = asked.recovery_target;
  facts.limits = {{"max_connections", asked.max_connections}};
  facts.primary_slot_name = asked.slot;
  const auto streams = [&](const ScriptedNode& standby, const std::string& upstream) {
    return standby.in_recovery && standby.from == upstream && !upstream.empty() &&
           standby.suspicion.liveness != Liveness::kDead;
  };
  constexpr std::int32_t kFirstPid = 100;
  std::int32_t pid = kFirstPid;
  for (const auto& other : nodes) {
    ++pid;
    if (streams(asked, other.name) && other.suspicion.liveness != Liveness::kDead) {
      facts.replayed = asked.replayed.value_or(asked.wal);
      facts.wal_receiver_streaming = true;
      facts.wal_receiver_written = asked.written.value_or(asked.wal);
      facts.wal_receiver_source = other.address;
      facts.wal_receiver_silence = asked.receiver_silence.value_or(Duration::zero());
    }
    if (streams(other, asked.name)) {
      WalSender sender;
      sender.application_name = other.named ? other.name : "walreceiver";
      sender.state = "streaming";
      sender.pid = pid;
      sender.sync_state = waits_for.contains(sender.application_name) && !other.passed_over ? "quorum" : "async";
      sender.flushed = other.flushed.value_or(other.wal);
      sender.replayed = other.replayed.value_or(Lsn{});
      facts.wal_senders.push_back(sender);
      sender.pid = kFirstPid - 1;
      if (other.impostor) facts.wal_senders.push_back(sender);
    }
  }
  for (const auto& [name, reserved_from] : asked.slots) {
    PhysicalSlot slot;
    slot.name = name;
    slot.wal_status = reserved_from == "lost" ? "lost" : "reserved";
    if (!reserved_from.empty() && reserved_from != "lost") slot.restart_lsn = lsn_of(reserved_from);
    std::int32_t holder = kFirstPid;
    for (const auto& other : nodes) {
      ++holder;
      if (streams(other, asked.name) && other.slot == name) slot.active_pid = holder;
    }
    facts.slots.push_back(slot);
  }
  facts.logical_slots = asked.logical_slots;
  if (!asked.in_recovery) facts.prepared_transactions = asked.prepared;
  return facts;
}

}  // namespace pgkeel::scenarios
