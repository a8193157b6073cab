#include "tests/simulation/sync_replication.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/simulation/server.h"
#include "tests/simulation/world.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kWalSenderTimeout = 60s;
constexpr Duration kHungPoll = 100ms;
constexpr std::size_t kMostSenders = 16;
}  // namespace

// ---- the setting ---------------------------------------------------------------------------------------------------

void SyncReplication::reload() {
  loaded_ = file_;
  read_later(&SyncReplication::checkpointer_reads, 0);
  read_later(&SyncReplication::session_reads, 0);
  for (const auto& sender : senders_) read_later(&SyncReplication::sender_reads, sender.pid);
}

void SyncReplication::read_later(void (SyncReplication::*read)(std::int32_t), std::int32_t pid) {
  const double slowness = world_.random.fraction();
  const Duration pause = slowness < 0.7                                              ? world_.random.between(0ms, 2ms)
                         : slowness < 0.95 || !world_.setting.settings_are_read_late ? world_.random.between(2ms, 60ms)
                                                                                     : world_.random.between(60ms, 3s);
  world_.queue.after(pause, [this, read, pid, incarnation = server_.incarnation] {
    if (server_.incarnation != incarnation) return;
    if (!server_.hung) return (this->*read)(pid);
    world_.queue.after(kHungPoll, [this, read, pid, incarnation] {
      if (server_.incarnation == incarnation) read_later(read, pid);
    });
  });
}

void SyncReplication::sender_reads(std::int32_t pid) {
  const auto sender = std::ranges::find(senders_, pid, &WalSenderProcess::pid);
  if (sender != senders_.end()) sender->setting = server_.standby_signal ? Quorum{} : file_;
}

void SyncReplication::session_reads(std::int32_t) {
  shown_ = file_;
}

void SyncReplication::checkpointer_reads(std::int32_t) {
  checkpointers_ = file_;
  if (!checkpointers_.waits()) {
    release(server_.wal.records.size(), checkpointers_.meddling == 0 ? server_.wal.records.size() : 0,
            checkpointers_.meddling);
  }
}

void SyncReplication::checkpoint() {
  checkpointer_reads(0);
}

void SyncReplication::started() {
  loaded_ = file_;
  shown_ = file_;
  checkpointers_ = file_;
}

void SyncReplication::stopped() {
  waiting_.clear();
  senders_.clear();
}

// ---- walsenders ----------------------------------------------------------------------------------------------------

WalSenderProcess& SyncReplication::connect(std::size_t node, std::uint32_t receiver, std::uint32_t name,
                                           bool has_slot) {
  std::erase_if(senders_, [&](const auto& old) { return old.node == node; });  // its connection is reset
  WalSenderProcess sender;
  sender.pid = ++last_pid_;
  sender.node = node;
  sender.receiver = receiver;
  sender.name = name;
  sender.has_slot = has_slot;
  sender.last_reply = world_.queue.now();
  if (!server_.standby_signal) sender.setting = loaded_;  // one that serves a cascade is never synchronous
  senders_.push_back(sender);
  return senders_.back();
}

void SyncReplication::disguise(std::uint32_t name, std::uint32_t meddling) {
  if (senders_.size() >= kMostSenders) return;
  WalSenderProcess& impostor = connect(kImpostor, 0, name, false);
  impostor.streaming = true;
  impostor.meddling = meddling;
}

void SyncReplication::end_impostors() {
  std::erase_if(senders_, [](const auto& sender) { return sender.node == kImpostor; });
}

WalSenderProcess* SyncReplication::sender_to(std::size_t node) {
  const auto found = std::ranges::find(senders_, node, &WalSenderProcess::node);
  return found == senders_.end() ? nullptr : &*found;
}

void SyncReplication::replied(WalSenderProcess& sender, std::size_t flushed) {
  sender.flushed = flushed;
  sender.last_reply = world_.queue.now();
  release_by(sender);
}

void SyncReplication::look_after_senders() {
  if (senders_.empty() || !server_.up()) return;
  std::erase_if(senders_, [&](const WalSenderProcess& sender) {
    if (sender.node == kImpostor) return false;
    const Server& standby = world_.servers[sender.node];
    const bool link_works = world_.connected(server_.number, standby.number) && !standby.host_down;
    if (!link_works) return world_.queue.now() - sender.last_reply > kWalSenderTimeout;
    if (standby.hung) return world_.queue.now() - sender.last_reply > kWalSenderTimeout;
    return !standby.streaming || standby.upstream != server_.number || standby.receiver != sender.receiver;
  });
  for (auto& sender : senders_) {
    if (sender.node == kImpostor) replied(sender, server_.wal.records.size());
  }
}

bool SyncReplication::senders_take(const Quorum& names) const {
  return std::ranges::all_of(senders_, [&](const WalSenderProcess& sender) {
    // By which setting one acts that has not been told of any flush cannot be seen.
    const std::uint32_t priority = sender.flushed > 0 ? priority_of(sender.setting, sender.name) : 0;
    if (!names.names(sender.name)) return priority == 0 && (sender.flushed > 0 || sender.name == 0);
    return names.by_priority ? priority >= 2 : !sender.streaming || priority == 1;
  });
}

void SyncReplication::list_senders(std::vector<WalSender>& rows) const {
  for (const auto& sender : senders_) {
    WalSender row;
    row.application_name = "walreceiver";
    for (const auto& server : world_.servers) {
      if (sender.name == name_bit(server.number)) row.application_name = server.name;
    }
    row.pid = sender.pid;
    row.state = sender.streaming ? "streaming" : "catchup";
    // How it is counted is said by the session that looks; whether it is, by the walsender itself.
    const bool is_synchronous = sender.flushed > 0 && sender.setting.names(sender.name);
    row.sync_state = !is_synchronous ? "async" : shown_.waits() && sender.streaming ? "quorum" : "potential";
    row.flushed = sender.flushed > 0 ? Wal::position(sender.flushed) : Lsn{};
    row.sent = server_.wal.end();
    row.written = row.flushed;
    row.replayed = row.flushed;
    rows.push_back(std::move(row));
  }
}

// ---- sessions ------------------------------------------------------------------------------------------------------

void SyncReplication::commit(RecordId record, Acknowledged acknowledged) {
  if (!checkpointers_.waits()) return acknowledged(checkpointers_.meddling);
  waiting_.push_back({record, world_.queue.now(), std::move(acknowledged)});
}

void SyncReplication::cancel_one() {
  if (!waiting_.empty())
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(world_.random.below(waiting_.size())));
}

void SyncReplication::end_sessions() {
  waiting_.clear();
}

std::optional<Instant> SyncReplication::oldest_waits_since() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().since;
}

void SyncReplication::release_by(const WalSenderProcess& sender) {
  if (waiting_.empty() || server_.standby_signal || !counts(sender)) return;
  const std::size_t records = held_by_quorum(sender, false);
  if (records > 0) release(records, held_by_quorum(sender, true), meddling_behind(sender));
}

// How many records the quorum of this walsender holds, for all that it was told; only_ordered: were there nothing but
// what pgkeel set and knows.
std::size_t SyncReplication::held_by_quorum(const WalSenderProcess& sender, bool only_ordered) const {
  if (only_ordered && (sender.setting.meddling != 0 || sender.node == kImpostor)) return 0;
  std::array<const WalSenderProcess*, kMostSenders + 4> found{};
  std::size_t count = 0;
  for (const auto& other : senders_) {
    if (!counts(other)) continue;
    if (only_ordered && (other.setting.meddling != 0 || other.node == kImpostor)) continue;
    found[count++] = &other;
  }
  const std::size_t acks = sender.setting.acks;
  if (count < acks) return 0;
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(count);
  if (!sender.setting.by_priority) {
    std::sort(found.begin(), end, [](const auto* left, const auto* right) { return left->flushed > right->flushed; });
    return found[acks - 1]->flushed;
  }
  std::stable_sort(found.begin(), end, [](const auto* left, const auto* right) {
    return priority_of(left->setting, left->name) < priority_of(right->setting, right->name);
  });
  const auto last = found.begin() + static_cast<std::ptrdiff_t>(acks);
  if (std::find(found.begin(), last, &sender) == last) return 0;
  return (*std::min_element(found.begin(), last,
                            [](const auto* left, const auto* right) { return left->flushed < right->flushed; }))
      ->flushed;
}

// Of what somebody did that made it acknowledge: rather what pgkeel does not know of.
std::uint32_t SyncReplication::meddling_behind(const WalSenderProcess& sender) const {
  std::uint32_t found = sender.setting.meddling;
  const auto consider = [&](std::uint32_t meddling) {
    if (meddling != 0 && world_.meddlings[found]) found = meddling;
  };
  for (const auto& other : senders_) {
    if (!counts(other)) continue;
    consider(other.setting.meddling);
    consider(other.meddling);
  }
  return found;
}

void SyncReplication::release(std::size_t records, std::size_t ordered, std::uint32_t meddling) {
  const auto& log = server_.wal.records;
  const RecordId newest = records == 0 ? 0 : log[std::min(records, log.size()) - 1];
  const RecordId newest_ordered = ordered == 0 ? 0 : log[std::min(ordered, log.size()) - 1];
  const auto rest = std::ranges::find_if(waiting_, [&](const auto& commit) { return commit.record > newest; });
  if (rest == waiting_.begin()) return;
  std::vector<WaitingCommit> ready(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(rest));
  waiting_.erase(waiting_.begin(), rest);
  world_.trace([&] {
    std::string text = server_.name + ": acknowledges up to " + std::to_string(ready.back().record) + "; told:";
    for (const auto& sender : senders_) {
      text += " " + (sender.node == kImpostor ? "impostor" : world_.servers[sender.node].name) + "=" +
              std::to_string(sender.flushed == 0 ? 0 : log[sender.flushed - 1]) + "/" + text_of(sender.setting);
    }
    return text;
  });
  for (const auto& commit : ready) commit.acknowledged(commit.record <= newest_ordered ? 0 : meddling);
}

// SHOW and pg_stat_replication.
std::vector<std::uint32_t> SyncReplication::meddlings_shown() const {
  std::vector<std::uint32_t> shown;
  if (shown_.meddling != 0) shown.push_back(shown_.meddling);
  for (const auto& sender : senders_) {
    if (sender.meddling != 0) shown.push_back(sender.meddling);
  }
  return shown;
}

}  // namespace pgkeel::simulation
