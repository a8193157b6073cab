// The file of decision records: decisions.log in the state directory, one checksummed JSON object a line, as the event
// log writes them. keep() belongs to the control thread; newest() may be called from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/model/decision_record.h"

namespace pgkeel {

class DecisionLog {
 public:
  // Reads what is there (the newest of it), and goes on with the next id. Damaged lines are passed over.
  static Result<std::unique_ptr<DecisionLog>> open(const std::string& directory);

  // Writes the record down; one with an id takes the place of the earlier one. Returns its id. A line that cannot be
  // written is told in the log, and the record stays in memory.
  std::uint64_t keep(DecisionRecord record);

  // The JSON of the cluster's newest records, oldest first.
  [[nodiscard]] std::vector<std::string> newest(const std::string& cluster, std::size_t most) const;

  // Those that are under way, and the newest failover where not every node was as it should be again; oldest first.
  [[nodiscard]] std::vector<DecisionRecord> unfinished(const std::string& cluster) const;

  static constexpr std::size_t kRecordsInMemory = 500;
  static constexpr std::size_t kFileBytesMax = 4 * 1024 * 1024;  // then it is set aside as decisions.log.1

 private:
  struct Entry {
    std::uint64_t id = 0;
    std::string cluster;
    std::string json;
  };
  explicit DecisionLog(std::string path) : path_(std::move(path)) {}
  void remember(Entry entry);
  void write(const std::string& json);

  const std::string path_;
  std::size_t file_bytes_ = 0;
  std::uint64_t next_id_ = 1;
  mutable std::mutex mutex_;  // guards entries_
  std::deque<Entry> entries_;
};

}  // namespace pgkeel
