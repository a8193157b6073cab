// What a schedule is played on: virtual time, randomness, servers, the network between them, and the checkers that
// watch. Tests only, one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/config.h"
#include "replication/model/failover_policy.h"
#include "tests/simulation/agent.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/mutants.h"
#include "tests/simulation/random.h"
#include "tests/simulation/server.h"

namespace pgkeel::simulation {

// A rule was broken: ends the schedule.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What PostgreSQL itself cannot tell apart, a known limit (replication/README.md): ends the schedule without a verdict.
struct GivenUp : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// How old what pgkeel knew may be when a statement of it arrives, which is sent again and again through a cut.
constexpr Duration kStatementsAreOnTheirWay = std::chrono::seconds(15);

// Whoever reads WAL through a physical slot, from wherever the primary is.
struct SlotReader {
  bool reads = false;        // it has a slot on the primary that it reads from, and goes on with it on the next one
  std::size_t primary = 0;   // that one
  Timeline timeline = 0;     // that it has read of last
  std::size_t position = 0;  // records that it has
  Instant away_until;
  Instant made_at{-1h};     // its slot, by itself …
  Instant dropped_at{-1h};  // … likewise
};

// Drawn once for each schedule.
struct Setting {
  std::size_t node_count = 2;
  DetectionConfig detection;
  FailoverPolicy policy;
  bool postmaster_watched = true;  // pgkeel sees the death of a postmaster on its own host at once
  Duration fence_timeout{};        // of the agents; 0: never
  Duration replication_turn{};
  Duration network_delay{};  // of one message to a node on another host, usually
  Duration between_writes{};
  Duration between_faults{};
  Duration faults_for{};
  bool hand_promotions = false;
  // A node fails only when all is well again; else anything may fail at any time.
  bool one_fault_at_a_time = false;
  bool probes_get_lost = false;          // or answer late, although nothing is wrong
  bool settings_are_read_late = false;   // by a process of a server, now and then: up to 3 s after a reload
  std::size_t slots_keep_at_most = 0;    // records, max_slot_wal_keep_size; 0: no limit
  bool store_takes_time = false;         // as one that other machines agree on: what is decided waits for it
  bool all_standbys_acknowledge = true;  // where the operator lets commits wait: for each of them; else for any
};

class World {
 public:
  World(std::uint64_t seed, Mutant played_mutant, bool traced);

  Random random;
  EventQueue queue;
  const Mutant mutant;
  Setting setting;
  std::deque<Server> servers;
  std::vector<std::unique_ptr<Agent>> agents;  // per server; nullptr: it has none
  RecordId records_made = 0;
  std::map<std::string, SlotReader> slot_readers;  // by the name of the slot
  void see_covered(const std::string& slot);       // which copies hold all that this reader needs
  void forget_covered(const std::string& slot);    // it needs something else from now on
  // What somebody did beside pgkeel to synchronous replication; and whether pgkeel has acted on facts that showed it.
  std::vector<bool> meddlings = {true};  // 0: nothing
  std::uint32_t new_meddling() {
    meddlings.push_back(false);
    return static_cast<std::uint32_t>(meddlings.size() - 1);
  }
  bool candidate_was_abandoned = false;  // two nodes may have been promoted at the same position

  // Who has a network between them: the servers by their numbers, pgkeel, and the agents.
  [[nodiscard]] std::size_t pgkeel() const { return setting.node_count; }
  [[nodiscard]] std::size_t agent_of(std::size_t server) const { return setting.node_count + 1 + server; }
  [[nodiscard]] std::string peer_name(std::size_t peer) const;
  [[nodiscard]] bool reaches_agent(std::size_t server) const;          // pgkeel does, and it answers
  [[nodiscard]] bool reaches(std::size_t from, std::size_t to) const;  // what is sent there arrives
  [[nodiscard]] bool connected(std::size_t left, std::size_t right) const {
    return reaches(left, right) && reaches(right, left);
  }
  void cut(std::size_t left, std::size_t right, bool is_cut) {
    cut_one_way(left, right, is_cut);
    cut_one_way(right, left, is_cut);
  }
  void cut_one_way(std::size_t from, std::size_t to, bool is_cut);
  void heal_network();

  // What pgkeel hears of a process that ended: called for every death.
  std::function<void(std::size_t node)> on_death;
  // Awake, and able to store; Instant::max(): it is not.
  std::function<Instant()> pgkeel_well_since;
  // Work in a server's files has begun that its WAL does not survive.
  std::function<void()> on_files_changed = [] {};
  // pgkeel's state has changed its phase: a good moment for something else to go wrong.
  std::function<void()> on_transition = [] {};

  // Writes a line of the trace; `text` is only made where somebody reads it.
  template <class Text>
  void trace(const Text& text) {
    if (traced_) write_trace(text());
  }

  // Of what pgkeel sends to this server, or the server to it.
  [[nodiscard]] Duration delay_to(std::size_t server);

  [[nodiscard]] bool keeps_commits() const { return setting.policy.durability != Durability::kAsync; }
  [[nodiscard]] Server* server(const std::string& name);  // nullptr: there is none of this name
  Server& any_server() { return servers[random.below(servers.size())]; }
  [[nodiscard]] Quorum operators_quorum(std::size_t primary) const;

  [[noreturn]] void violated(const std::string& rule);

 private:
  void write_trace(const std::string& line);
  void draw_setting();
  void make_dense();

  bool traced_;
  std::vector<std::uint8_t> cuts_;
};

}  // namespace pgkeel::simulation
