// What the decision core wants done, and what became of it. Every action is idempotent: after a restart of pgkeel it is
// simply wanted again. Plain data.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"

namespace pgkeel {

enum class ActionKind {
  kProbe,    // ask the node now
  kFence,    // make sure that the node takes no more writes: end its processes, or by SQL where it is not on this host
  kPromote,  // make the standby a primary and see that it writes; where it is one already: lift a fence by SQL, and see
  kFollow,   // point a running standby at the primary: slot there, primary_conninfo and primary_slot_name here
  kRejoin,   // make a stopped local node a standby of the primary, by start, rewind or rebuild
  kStartServer,      // start a primary: one that crashed and nobody can replace, or (`ordered`) that we shut down
  kStopServer,       // shut a primary down cleanly, and examine it
  kCheckpoint,       // have the primary write a checkpoint, so that the one of its shutdown is short
  kExamine,          // look at a stopped local node: is it proven stopped, and where does its WAL end?
  kDropSlot,         // drop a slot that would keep WAL for nobody: one of ours, or a copy of one that is gone
  kKeepSlot,         // have a slot for another node or reader, which reserves WAL from `position` on
  kSetStandbyNames,  // set synchronous_standby_names on the primary, and see from where on commits wait for it
  kCutOff,           // end the walreceiver of the standby, so that it acknowledges nothing more to its old primary
  kRelease,          // take back what pgkeel set by ALTER SYSTEM, and drop its slots; a standby (`upstream`) streams on
};

constexpr ActionKind kAllActionKinds[] = {ActionKind::kProbe,           ActionKind::kFence,    ActionKind::kPromote,
                                          ActionKind::kFollow,          ActionKind::kRejoin,   ActionKind::kStartServer,
                                          ActionKind::kExamine,         ActionKind::kDropSlot, ActionKind::kKeepSlot,
                                          ActionKind::kSetStandbyNames, ActionKind::kCutOff,   ActionKind::kStopServer,
                                          ActionKind::kCheckpoint,      ActionKind::kRelease};

constexpr const char* action_name(ActionKind kind) {
  switch (kind) {
    case ActionKind::kProbe:
      return "probe";
    case ActionKind::kFence:
      return "fence";
    case ActionKind::kPromote:
      return "promote";
    case ActionKind::kFollow:
      return "follow";
    case ActionKind::kRejoin:
      return "rejoin";
    case ActionKind::kStartServer:
      return "start";
    case ActionKind::kExamine:
      return "examine";
    case ActionKind::kDropSlot:
      return "drop_slot";
    case ActionKind::kKeepSlot:
      return "keep_slot";
    case ActionKind::kSetStandbyNames:
      return "set_standby_names";
    case ActionKind::kCutOff:
      return "cut_off";
    case ActionKind::kStopServer:
      return "stop";
    case ActionKind::kCheckpoint:
      return "checkpoint";
    case ActionKind::kRelease:
      return "release";
  }
  return "unknown";
}

// What kFence sets synchronous_standby_names to where it can act by SQL only: no standby is called so, and no commit is
// acknowledged any more. kPromote takes it back.
constexpr const char* kFencingStandbyName = "pgkeel_fenced";

struct Action {
  ActionKind kind = ActionKind::kProbe;
  std::string node;
  std::uint64_t epoch = 0;
  std::string upstream;  // kFollow, kRejoin, kRelease of a standby: the primary
  std::string slot;      // kDropSlot, kKeepSlot
  bool old_primary =
      false;       // kRejoin: it was one, so that a clean shutdown was no operator's wish for a standby to rest
  Lsn position{};  // kKeepSlot: WAL before it need not be kept any longer; invalid: what is reserved stays
  bool reserves_wal = true;  // kKeepSlot: false: where it is made, it keeps nothing before somebody reads from it
  // kKeepSlot: pgkeel has not made it yet, as far as it can know. One that is there nevertheless is somebody's own, and
  // is left alone.
  bool is_new = false;
  // kSetStandbyNames: synchronous_standby_names from now on. kPromote: from before it is promoted, or with its fence
  // lifted.
  std::string standby_names;
  // kPromote: it is set whatever a session shows. A fence by SQL was sent there, and what it has set may not have been
  // read by every process.
  bool sets_names_anyway = false;
  bool commits_must_wait = false;         // kPromote: not done before commits are seen to wait for `standby_names`
  std::uint64_t standby_names_order = 0;  // kSetStandbyNames: the number that ClusterMemory gave the order
  // kRejoin: by an operator, who knows that it was shut down cleanly. kStartServer: also after a clean shutdown.
  bool ordered = false;
  bool rebuild = false;           // kRejoin: by a new copy of the primary, whatever state it is in
  bool discard_old_data = false;  // kRejoin, with rebuild: the data directory that it replaces is removed
  bool provision = false;         // kRejoin: an empty data directory is filled, and any other left as it is

  friend bool operator==(const Action&, const Action&) = default;
};

inline Action make_action(ActionKind kind, std::string node, std::uint64_t epoch) {
  Action action;
  action.kind = kind;
  action.node = std::move(node);
  action.epoch = epoch;
  return action;
}

// How surely a fenced node takes no more writes.
enum class FenceStrength {
  kNone,           // it could not be reached
  kWeak,           // by SQL: its sessions were ended and its commits wait for a standby that does not exist
  kProvenStopped,  // no process of it is left
};

// What kExamine found.
struct Examination {
  bool proven_stopped = false;
  bool shut_down_cleanly = false;
  Timeline timeline = 0;
  Lsn end_of_wal;
};

// The newest run of one action: running, or finished with or without success.
struct ActionStatus {
  Action action;
  bool running = false;
  bool breaking_off = false;  // it was told to end: a fence of its node is wanted
  bool succeeded = false;     // finished well
  std::string message;        // why it failed, or what it did
  Instant started_at;
  Instant finished_at;
  // In a row, of this kind on this node in this epoch. kRejoin: all attempts since its node streamed, or since
  // something changed on which it may depend whether they work (RejoinWatch).
  std::uint32_t failures = 0;
  std::uint32_t copies = 0;  // kRejoin: of those, the ones that began to copy
  bool copied = false;       // kRejoin: it began to copy, or may have, where nobody can tell
  std::string last_failure;  // why the last of them failed; it stays while the action runs again
  FenceStrength fence = FenceStrength::kNone;
  std::optional<Examination> examination;
  std::optional<bool> had_more_wal;  // kRejoin: the node alone had some, and it was set aside; nothing: not known
  bool name_is_taken = false;        // kKeepSlot of a new one: there is one of that name, and it is somebody's own
  bool nothing_was_made = false;     // kKeepSlot of a new one: it failed, and that is sure
  Lsn missing_from{};  // kFollow: the upstream has no WAL from here on, where the standby stands; invalid: it has
  // kSetStandbyNames: each commit past this position waited for the standbys that were named. A standby that has
  // flushed it holds every commit that was acknowledged before.
  std::optional<Lsn> waited_from;
};

}  // namespace pgkeel
