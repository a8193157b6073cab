#include "replication/execute/flush_watch.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

NodeFacts primary_with(Lsn flushed, std::uint32_t waiting) {
  NodeFacts facts;
  facts.wal_position = Lsn{0x3000};
  facts.backends_waiting_for_standbys = waiting;
  WalSender sender;
  sender.application_name = "b";
  sender.flushed = flushed;
  facts.wal_senders.push_back(sender);
  return facts;
}

const Instant kStart{1h};

}  // namespace

TEST_CASE("a standby stands still from the first probe that saw its position on, while backends wait") {
  FlushWatch watch;
  watch.primary_said(primary_with(Lsn{0x2000}, 1), kStart, kStart);
  watch.primary_said(primary_with(Lsn{0x2000}, 2), kStart + 500ms, kStart + 500ms);
  CHECK(watch.flushes().at("b").stands_still_since == kStart);
  watch.primary_said(primary_with(Lsn{0x2800}, 2), kStart + 1s, kStart + 1s);  // it moves
  CHECK(watch.flushes().at("b").stands_still_since == kStart + 1s);
  watch.primary_said(primary_with(Lsn{0x2800}, 2), kStart + 500ms, kStart + 500ms);  // older news
  CHECK(watch.flushes().at("b").stands_still_since == kStart + 1s);
}

TEST_CASE("a standby that has everything, or that nobody waits for, does not stand still") {
  FlushWatch watch;
  watch.primary_said(primary_with(Lsn{0x2000}, 1), kStart, kStart);
  watch.primary_said(primary_with(Lsn{0x3000}, 1), kStart + 1s, kStart + 1s);
  CHECK_FALSE(watch.flushes().at("b").stands_still_since);
  watch.primary_said(primary_with(Lsn{0x2000}, 0), kStart + 3s, kStart + 3s);
  CHECK_FALSE(watch.flushes().at("b").stands_still_since);
  watch.primary_said(primary_with(Lsn{0x2000}, 1), kStart + 4s, kStart + 4s);
  CHECK(watch.flushes().at("b").stands_still_since == kStart + 4s);
}

TEST_CASE("a standby keeps up where it has flushed what the primary had at the probe before") {
  FlushWatch watch;
  watch.primary_said(primary_with(Lsn{0x3000}, 0), kStart, kStart);
  CHECK(watch.flushes().at("b").keeps_up);  // there is no probe before: it has everything
  NodeFacts later = primary_with(Lsn{0x3000}, 0);
  later.wal_position = Lsn{0x4000};
  watch.primary_said(later, kStart + 500ms, kStart + 500ms);
  CHECK(watch.flushes().at("b").keeps_up);
  later.wal_position = Lsn{0x5000};
  watch.primary_said(later, kStart + 1s, kStart + 1s);
  CHECK_FALSE(watch.flushes().at("b").keeps_up);
  FlushWatch first;
  first.primary_said(later, kStart, kStart);
  CHECK_FALSE(first.flushes().at("b").keeps_up);
  later.wal_senders.clear();
  first.primary_said(later, kStart + 1s, kStart + 1s);
  CHECK(first.flushes().at("b").gone_since == kStart + 1s);
  first.primary_said(later, kStart + 2s, kStart + 2s);
  CHECK(first.flushes().at("b").gone_since == kStart + 1s);
  first.primary_said(primary_with(Lsn{0x3000}, 0), kStart + 3s, kStart + 3s);
  CHECK_FALSE(first.flushes().at("b").gone_since);
}

namespace {

NodeFacts primary_whose_standby_replays(Lsn replayed, std::uint32_t waiting, Lsn position = Lsn{0x3000}) {
  NodeFacts facts = primary_with(position, waiting);
  facts.wal_position = position;
  facts.synchronous_standby_names = "ANY 1 (\"b\")";
  facts.wal_senders.front().replayed = replayed;
  return facts;
}

}  // namespace

TEST_CASE("a standby that has flushed all there is, and replays nothing, holds commits up that wait all the same") {
  FlushWatch watch;
  for (const Duration after : {0ms, 500ms, 1000ms})
    watch.primary_said(primary_whose_standby_replays(Lsn{0x2000}, 1), kStart + after, kStart + after);
  CHECK(watch.flushes().at("b").replay_stands_still_since == kStart + 500ms);
  CHECK_FALSE(watch.flushes().at("b").replay_holds_commits);
  watch.primary_said(primary_whose_standby_replays(Lsn{0x2000}, 1), kStart + 1500ms, kStart + 1500ms);
  CHECK(watch.flushes().at("b").replay_holds_commits);
  // Released, nobody waits any more, and clients write on: that does not mend it.
  watch.primary_said(primary_whose_standby_replays(Lsn{0x2000}, 0, Lsn{0x4000}), kStart + 2s, kStart + 2s);
  CHECK(watch.flushes().at("b").replay_holds_commits);
  watch.primary_said(primary_whose_standby_replays(Lsn{0x2800}, 0, Lsn{0x4000}), kStart + 3s, kStart + 3s);
  CHECK_FALSE(watch.flushes().at("b").replay_holds_commits);
}

TEST_CASE("a replay that stands still holds nothing up while commits wait for a flush, or come and go") {
  FlushWatch watch;
  for (int i = 0; i < 10; ++i) {
    const Lsn position{0x3000 + static_cast<std::uint64_t>(i)};  // a busy primary: somebody always waits
    watch.primary_said(primary_whose_standby_replays(Lsn{0x2000}, 1, position), kStart + i * 500ms, kStart + i * 500ms);
  }
  CHECK_FALSE(watch.flushes().at("b").replay_holds_commits);
  for (int i = 10; i < 20; ++i) {
    NodeFacts facts = primary_whose_standby_replays(Lsn{0x2000}, 1, Lsn{0x4000});
    facts.wal_senders.front().flushed = Lsn{0x3800};
    watch.primary_said(facts, kStart + i * 500ms, kStart + i * 500ms);
  }
  CHECK_FALSE(watch.flushes().at("b").replay_holds_commits);
}

TEST_CASE("nothing has stood still while an answer was on its way") {
  FlushWatch watch;
  watch.primary_said(primary_with(Lsn{0x2000}, 1), kStart, kStart + 1s);
  watch.primary_said(primary_with(Lsn{0x2000}, 1), kStart + 1100ms, kStart + 1101ms);
  CHECK(watch.flushes().at("b").stands_still_since == kStart + 1s);
}
