// One node as a scenario tells it, and what it would answer to a probe. Tests only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication/model/cluster_view.h"
#include "tests/scenarios/script_arguments.h"

namespace pgkeel::scenarios {

struct ScriptedNode {
  std::string name;
  HostPort address;
  std::uint32_t priority = 100;
  bool local = true;
  std::map<std::string, std::uint64_t> room;  // bytes that are free there, per disk
  Suspicion suspicion;
  std::shared_ptr<const NodeFacts> facts;  // of its newest answer
  Instant facts_at;

  // What the node would answer now.
  bool in_recovery = true;
  std::string system_identifier = "7000";
  Timeline timeline = 1;
  std::vector<TimelineFork> history;
  bool history_known = true;
  Lsn wal{0x3000};
  std::string from;             // standby: its walreceiver streams from this node
  bool named = true;            // standby: application_name is its name
  std::optional<Lsn> replayed;  // standby; else all that it has
  std::optional<Lsn> flushed;   // standby: what its upstream knows of it; else all that it has
  std::optional<Lsn> written;   // standby: by its walreceiver; else all that it has
  bool passed_over = false;     // standby: its walsender has not read synchronous_standby_names
  bool impostor = false;        // something else streams from its upstream under its name, too
  std::string slot;             // standby: primary_slot_name
  bool replays_own_wal = false;
  bool replay_paused = false;
  bool fenced = false;  // by SQL
  Duration apply_delay{};
  bool recovery_target = false;
  std::uint32_t max_connections = 100;
  std::optional<Duration> receiver_silence;
  std::map<std::string, std::string> slots;  // by name: where it reserves WAL from, "lost", or empty: not told
  std::vector<LogicalSlot> logical_slots;
  std::uint32_t prepared = 0;  // transactions, told by a primary only
  Lsn redo;                    // of its last checkpoint; 0/0: not told, so that slots are left alone
  std::string standby_names;   // synchronous_standby_names
  std::uint32_t sessions = 0;  // of clients, although it is fenced by SQL
  std::uint32_t waiting = 0;   // backends that wait for a standby
  bool tells_nothing = false;  // it lives, but refuses the probe's login
};

// "c(remote,priority=0)"
ScriptedNode parse_node(const std::string& text, std::size_t number);

// timeline=2 wal=0/3000 history=1@0/2000 from=a slot=pgkeel_b slots=pgkeel_a@0/2000,pgkeel_c@lost redo=0/2000 delay=5m
// max_connections=50 logical=changes@0/3000(synced) prepared=2 heard=100ms system=7000 paused target unnamed
// flushed=0/2000 replayed=0/1000 written=0/4000 impostor passed_over waiting=3 sessions=2 names=1(b,c): what is not
// named stays as it was.
void set_facts(ScriptedNode& node, const Arguments& arguments);

void set_liveness(ScriptedNode& node, Liveness liveness, Instant now);

// What it answers, with the walsenders and slots that follow from what the other nodes do.
NodeFacts facts_of(const ScriptedNode& asked, const std::deque<ScriptedNode>& nodes);

std::optional<Liveness> liveness_of(const std::string& word);

}  // namespace pgkeel::scenarios
