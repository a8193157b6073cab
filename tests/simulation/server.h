// A simulated PostgreSQL server: its process, its role, its log, and whom it streams from. It knows nothing of pgkeel.
// Tests only.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "health/observation.h"
#include "tests/simulation/wal.h"

namespace pgkeel::simulation {

class World;

enum class ProcessState { kDead, kStarting, kRunning };

enum class SyncMode {
  kOff,
  kAllStandbys,  // a commit is acknowledged when every other node has it
  kAnyStandby,   // … when one other node has it
  kNobody,       // fenced: synchronous_standby_names matches nobody, no commit is acknowledged
};

class Server {
 public:
  Server(World& world, std::size_t number, bool local, std::uint32_t priority);

  // Identity, fixed.
  const std::size_t number;
  const std::string name;
  const HostPort address;
  const bool local;
  const std::uint32_t priority;

  // The process.
  ProcessState state = ProcessState::kDead;
  bool hung = false;
  bool host_down = false;        // nothing answers, not even a refusal
  bool cleanly_stopped = false;  // by somebody who wanted it
  bool half_rebuilt = false;     // a rewind or backup was cut off: must not be started
  bool started_by_operator = false;
  std::uint32_t incarnation = 0;  // grows whenever the process starts or ends
  Instant started_at;

  // Files and settings: they survive the process.
  bool standby_signal = false;
  Wal wal;
  std::size_t upstream;  // primary_conninfo; itself: none
  bool named = false;    // application_name is its name
  bool has_slot_name = false;
  std::set<std::size_t> slots;  // of these nodes, here
  bool replay_paused = false;
  SyncMode sync = SyncMode::kOff;

  // What is lost with the process.
  bool streaming = false;
  Instant last_message;
  bool promoting = false;
  Instant undisturbed_since;                                // up, reached by pgkeel, and not paused
  using Acknowledged = std::function<void(SyncMode mode)>;  // as it was promised
  struct WaitingCommit {
    RecordId record;
    Acknowledged acknowledged;
  };
  std::vector<WaitingCommit> waiting;

  [[nodiscard]] bool up() const { return state == ProcessState::kRunning && !hung; }
  [[nodiscard]] bool writable() const { return up() && !standby_signal; }

  void start();              // begins recovery; no effect where it runs, or must not
  void die();                // SIGKILL of the whole tree
  void crash_and_restart();  // of a backend: the postmaster goes through crash recovery
  void begin_promotion();    // pg_promote(): takes effect later, if the process lives on
  void replicate();          // one turn of its walreceiver
  RecordId write();          // of a primary
  void commit(Acknowledged acknowledged);
  void acknowledge_waiting();
  void become_standby_of(const Server& primary);  // of a stopped one: its files are a copy now

  [[nodiscard]] NodeFacts facts() const;

 private:
  void recover(Duration time);
  void finish_promotion(std::uint32_t of_incarnation);

  World& world_;
};

}  // namespace pgkeel::simulation
