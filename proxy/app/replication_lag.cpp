#include "proxy/app/replication_lag.h"

#include <algorithm>

namespace pgkeel {

std::optional<ReplicationLag> replication_lag(const NodeFacts& primary, const std::string& standby) {
  const auto sender = std::ranges::find_if(primary.wal_senders, [&](const WalSender& each) {
    return each.application_name == standby && each.state == "streaming";
  });
  if (sender == primary.wal_senders.end()) return std::nullopt;
  // The positions of one answer were not read at one moment: a standby may seem to be ahead.
  const auto behind = [&](Lsn position) {
    return primary.wal_position > position ? primary.wal_position.value - position.value : 0;
  };
  return ReplicationLag{.write_bytes = behind(sender->written),
                        .flush_bytes = behind(sender->flushed),
                        .replay_bytes = behind(sender->replayed),
                        .write = sender->write_lag,
                        .flush = sender->flush_lag,
                        .replay = sender->replay_lag};
}

}  // namespace pgkeel
