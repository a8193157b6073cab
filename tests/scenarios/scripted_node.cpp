#include "tests/scenarios/scripted_node.h"

#include <map>
#include <stdexcept>

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
    } else if (key == "redo") {
      node.redo = lsn_of(value);
    } else if (key == "delay") {
      node.apply_delay = parse_duration(value);
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
    } else if (flag == "fenced" || flag == "unfenced") {
      node.fenced = flag == "fenced";
    } else if (flag == "named" || flag == "unnamed") {
      node.named = flag == "named";
    } else {
      throw std::runtime_error(arguments.word + ": no such flag: " + flag);
    }
  }
}

void set_liveness(ScriptedNode& node, Liveness liveness, Instant now) {
  if (liveness == Liveness::kAlive) node.suspicion.last_heard = now;
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
  if (asked.fenced) facts.synchronous_standby_names = kFencingStandbyName;
  facts.replay_paused = asked.replay_paused;
  facts.recovery_min_apply_delay = asked.apply_delay;
  facts.primary_slot_name = asked.slot;
  const auto streams = [&](const ScriptedNode& standby, const std::string& upstream) {
    return standby.in_recovery && standby.from == upstream && !upstream.empty() &&
           standby.suspicion.liveness != Liveness::kDead;
  };
  for (const auto& other : nodes) {
    if (streams(asked, other.name) && other.suspicion.liveness != Liveness::kDead) {
      facts.replayed = asked.wal;
      facts.wal_receiver_streaming = true;
      facts.wal_receiver_source = other.address;
      facts.wal_receiver_silence = asked.receiver_silence.value_or(Duration::zero());
    }
    if (streams(other, asked.name)) {
      WalSender sender;
      sender.application_name = other.named ? other.name : "walreceiver";
      sender.state = "streaming";
      facts.wal_senders.push_back(sender);
    }
  }
  for (const auto& [name, reserved_from] : asked.slots) {
    PhysicalSlot slot;
    slot.name = name;
    slot.wal_status = reserved_from == "lost" ? "lost" : "reserved";
    if (!reserved_from.empty() && reserved_from != "lost") slot.restart_lsn = lsn_of(reserved_from);
    for (const auto& other : nodes) {
      if (streams(other, asked.name) && other.slot == name) slot.active_pid = 100;
    }
    facts.slots.push_back(slot);
  }
  return facts;
}

}  // namespace pgkeel::scenarios
