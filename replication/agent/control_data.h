// What pg_controldata says of a data directory. Plain data, and the pure parser of its output. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/lsn.h"
#include "proxy/base/result.h"

namespace pgkeel {

struct ControlData {
  std::string system_identifier;
  std::string cluster_state;  // "in production", "shut down", "shut down in recovery", "in archive recovery", …
  Timeline checkpoint_timeline = 0;
  Lsn checkpoint;  // of a cleanly stopped server: the begin of its shutdown checkpoint record
  Lsn checkpoint_redo;
  Lsn min_recovery_end;  // a standby: what it has replayed and may have written to its tables
  Timeline min_recovery_timeline = 0;
  std::uint32_t wal_segment_bytes = 0;
  std::uint32_t wal_block_bytes = 0;
  std::uint32_t block_bytes = 0;                // of a table's page
  std::uint32_t segment_blocks = 0;             // of each file of a large table
  std::uint32_t max_prepared_transactions = 0;  // as it was set when the server ran last
  bool wal_log_hints = false;
  bool data_checksums = false;

  [[nodiscard]] bool shut_down_cleanly() const {
    return cluster_state == "shut down" || cluster_state == "shut down in recovery";
  }
  // It was a standby when it stopped, cleanly or not.
  [[nodiscard]] bool was_in_recovery() const {
    return cluster_state == "shut down in recovery" || cluster_state == "in archive recovery";
  }
  // The one that crash recovery of the server would follow. After a promotion the checkpoint's may still be the old
  // one.
  [[nodiscard]] Timeline timeline() const {
    return checkpoint_timeline > min_recovery_timeline ? checkpoint_timeline : min_recovery_timeline;
  }
};

// `text`: the output of pg_controldata with LC_ALL=C.
Result<ControlData> parse_control_data(std::string_view text);

}  // namespace pgkeel
