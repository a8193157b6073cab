// Replication as a simulated server sees it that sends WAL: its walsenders, and the commits that wait for them. The
// rules are PostgreSQL's, with their traps:
//   - ALTER SYSTEM changes a file. After pg_reload_conf() each process reads it, in its own time.
//   - A commit waits where the checkpointer has set a flag in shared memory, whatever anybody's setting says.
//   - A walsender that is told of a flush releases commits by its own reading of the setting, and counts every
//   walsender
//     that takes itself for synchronous by *its* reading. Only the name counts, not who bears it.
//   - When the checkpointer takes the flag back, everything that waits is acknowledged.
// Tests only.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "health/observation.h"
#include "tests/simulation/quorum.h"
#include "tests/simulation/wal.h"

namespace pgkeel::simulation {

class Server;
class World;

constexpr std::size_t kImpostor = std::numeric_limits<std::size_t>::max();

struct WalSenderProcess {
  std::int32_t pid = 0;
  std::size_t node = kImpostor;  // whose walreceiver it feeds; or something else that bears a node's name
  std::uint32_t receiver = 0;    // which one of that node, counted
  std::uint32_t name = 0;        // application_name, as a bit; 0: it bears no node's name
  bool has_slot = false;         // … of that node
  bool streaming = false;        // it has caught up once
  std::size_t flushed = 0;       // records, as it was told; 0: nothing yet
  Quorum setting;                // as this process has read it
  Instant last_reply;
  std::uint32_t meddling = 0;  // of an impostor
};

class SyncReplication {
 public:
  // meddling: 0, where what pgkeel ordered was enough for it; else only what somebody did beside pgkeel allowed it.
  using Acknowledged = std::function<void(std::uint32_t meddling)>;

  SyncReplication(World& world, Server& server) : world_(world), server_(server) {}

  // synchronous_standby_names
  [[nodiscard]] const Quorum& file() const { return file_; }  // as ALTER SYSTEM left it
  [[nodiscard]] const Quorum& loaded() const { return loaded_; }
  [[nodiscard]] const Quorum& shown() const { return shown_; }  // to a session
  void alter_system(const Quorum& value) { file_ = value; }
  void reload();
  void checkpoint();  // the checkpointer has read the file when it returns

  // The process.
  void started();
  void stopped();  // what waits is never answered, and stays in the log

  // Walsenders.
  WalSenderProcess& connect(std::size_t node, std::uint32_t receiver, std::uint32_t name, bool has_slot);
  void disguise(std::uint32_t name, std::uint32_t meddling);  // an impostor connects
  void end_impostors();
  [[nodiscard]] WalSenderProcess* sender_to(std::size_t node);
  [[nodiscard]] bool senders_take(const Quorum& names) const;  // as far as pg_stat_replication can tell
  void replied(WalSenderProcess& sender, std::size_t flushed);
  void look_after_senders();  // one turn: those whose walreceivers are gone end, impostors reply
  [[nodiscard]] const std::vector<WalSenderProcess>& senders() const { return senders_; }
  void list_senders(std::vector<WalSender>& rows) const;  // pg_stat_replication

  // Sessions.
  void commit(RecordId record, Acknowledged acknowledged);
  void cancel_one();    // a backend that waits: its commit stays, and its client gets a warning
  void end_sessions();  // none of those that wait is answered
  [[nodiscard]] bool commits_wait() const { return checkpointers_.waits(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::optional<Instant> oldest_waits_since() const;

  [[nodiscard]] std::vector<std::uint32_t> meddlings_shown() const;  // that a session can see

 private:
  struct WaitingCommit {
    RecordId record;
    Instant since;
    Acknowledged acknowledged;
  };

  [[nodiscard]] static bool counts(const WalSenderProcess& sender) {
    return sender.streaming && sender.flushed > 0 && sender.setting.names(sender.name);
  }
  void read_later(void (SyncReplication::*read)(std::int32_t), std::int32_t pid);
  void sender_reads(std::int32_t pid);
  void session_reads(std::int32_t);
  void checkpointer_reads(std::int32_t);
  void release_by(const WalSenderProcess& sender);
  [[nodiscard]] std::size_t held_by_quorum(const WalSenderProcess& sender, bool only_ordered) const;
  [[nodiscard]] std::uint32_t meddling_behind(const WalSenderProcess& sender) const;
  void release(std::size_t records, std::size_t ordered, std::uint32_t meddling);

  World& world_;
  Server& server_;
  Quorum file_;
  Quorum loaded_;  // by the postmaster, and so by each process that it starts
  Quorum shown_;
  Quorum checkpointers_;  // by which it set the flag
  std::vector<WalSenderProcess> senders_;
  std::vector<WaitingCommit> waiting_;
  std::int32_t last_pid_ = 100;
};

}  // namespace pgkeel::simulation
