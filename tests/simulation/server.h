// A simulated PostgreSQL server: its process, its role, its log, and whom it streams from. It knows nothing of pgkeel.
// Tests only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "health/observation.h"
#include "tests/simulation/sync_replication.h"
#include "tests/simulation/wal.h"

namespace pgkeel::simulation {

class World;

// A physical slot of somebody who is no node.
struct ReadersSlot {
  std::optional<std::size_t> restart;  // records before it need not be kept for its reader; nothing: none are
  bool lost = false;                   // its WAL grew past max_slot_wal_keep_size
  bool is_somebodys = false;           // made on a standby beside pgkeel
  bool covers = false;                 // all that its reader needs was kept here by it, at one time
};

enum class ProcessState { kDead, kStarting, kRunning };

// Whose host it runs on, and so who can do something in its processes and files.
enum class Host { kOwn, kWithAgent, kForeign };  // kOwn: pgkeel's

class Server {
 public:
  Server(World& world, std::size_t number, Host host, std::uint32_t priority);

  // Identity, fixed.
  const std::size_t number;
  const std::string name;
  const HostPort address;
  const Host host;
  const std::uint32_t priority;

  // The process.
  ProcessState state = ProcessState::kDead;
  bool hung = false;
  bool host_down = false;        // nothing answers, not even a refusal
  bool cleanly_stopped = false;  // by somebody who wanted it
  bool half_rebuilt = false;     // a rewind or backup was cut off: must not be started
  bool started_by_operator = false;
  std::uint32_t incarnation = 0;  // grows whenever the process starts or ends
  Instant started_at;             // the postmaster, whatever its backends went through since
  std::uint32_t postmaster = 0;   // its number: each start makes a new one

  // Files and settings: they survive the process.
  bool standby_signal = false;
  Wal wal;
  std::size_t upstream_file;  // primary_conninfo; itself: it leads nowhere
  bool named = false;         // application_name is its name
  bool has_slot_name = false;
  std::set<std::size_t> slots;  // of these nodes, here
  std::map<std::string, ReadersSlot> slots_of_others;
  std::set<std::string> logical_slots;
  std::size_t redo = 0;        // where its recovery would begin: records that it has by its last checkpoint
  std::size_t oldest_wal = 0;  // records before it are removed
  bool replay_paused = false;
  bool promoted_by_hand = false;  // its timeline is not pgkeel's doing

  // What is lost with the process.
  std::size_t upstream;  // primary_conninfo as its recovery has read it
  bool streaming = false;
  std::uint32_t receiver = 0;  // its walreceivers, counted
  Instant last_message;
  Instant disk_slow_until;  // what it receives is not flushed
  bool promoting = false;
  // Of the WAL that it had when it started, recovery has come so far only: it tells this position, and streams from
  // nobody yet. Nothing: it has come to the end.
  std::optional<std::size_t> replayed_of_own;
  Instant undisturbed_since;  // up, reached by pgkeel, and not paused
  SyncReplication sync;

  [[nodiscard]] bool up() const { return state == ProcessState::kRunning && !hung; }
  [[nodiscard]] bool writable() const { return up() && !standby_signal; }

  void start();                // begins recovery; no effect where it runs, or must not
  void die();                  // SIGKILL of the whole tree
  void crash_and_restart();    // of a backend: the postmaster goes through crash recovery
  void begin_promotion();      // pg_promote(): takes effect later, if the process lives on
  void read_conninfo_later();  // pg_reload_conf()
  void checkpoint();           // or restartpoint: WAL that nobody needs is removed
  void replicate();            // one turn of its walreceiver and its walsenders
  RecordId write();            // of a primary: with synchronous_commit = local, or of a transaction that is not awaited
  void commit(SyncReplication::Acknowledged acknowledged);
  void become_standby_of(const Server& primary);  // of a stopped one: its files are a copy now, settings included

  [[nodiscard]] NodeFacts facts() const;

 private:
  void recover(Duration time);
  void replay_own_wal();
  void end_replay_of_own(std::uint32_t of_incarnation);
  void process_ended();
  void stream_from(Server& source);
  void finish_promotion(std::uint32_t of_incarnation);

  World& world_;
};

}  // namespace pgkeel::simulation
