// The agent's part of `pgkeel lost`: looks after the quarantine beside its server (quarantine_care.h), tells what is in
// it, and writes the rows of a report out, for pgkeel to fetch. Works beside the jobs: none of it touches the server.
// Any thread; the work is done on threads of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/lost_protocol.h"

namespace pgkeel {

class LostDesk {
 public:
  // `server`: with the folder of its quarantine. `tell`: that an entry went, once; on any thread.
  LostDesk(LocalServerConfig server, QuarantineConfig bounds, std::function<void(const std::string&)> tell);
  ~LostDesk();  // waits for its threads
  LostDesk(const LostDesk&) = delete;
  LostDesk& operator=(const LostDesk&) = delete;

  // Something may be new. It looks by itself now and then, too.
  void look_soon();

  [[nodiscard]] std::vector<ToldEntry> entries() const;
  Result<void> note_announced(const std::string& id);

  // At most kLostPieceBytes of a file of the entry: report.json, the file with its transactions, or "rows/NAME" of its
  // export. A piece that is shorter is the last.
  [[nodiscard]] Result<std::string> read_piece(const std::string& id, const std::string& name,
                                               std::uint64_t offset) const;

  // Begins to write the rows of a report out. An error where another export is under way.
  Result<void> begin_export(const std::string& id);
  // Nothing: none was begun. Waits up to `wait` for news after the first `lines_known` lines.
  [[nodiscard]] std::optional<ExportRecord> find_export(const std::string& id, std::uint64_t lines_known,
                                                        Duration wait);
  // It was fetched: what was written for that goes.
  Result<void> remove_export(const std::string& id);

  [[nodiscard]] bool works() const { return works_ > 0; }  // a thread may still run a program
  void stop();                                             // nothing more is begun

 private:
  [[nodiscard]] std::optional<QuarantineEntry> find(const std::string& id) const;
  void look_after();
  void write_out(const QuarantineEntry& entry);
  void add_line(const std::string& line);

  const LocalServerConfig server_;
  const QuarantineConfig bounds_;
  const std::function<void(const std::string&)> tell_;
  std::atomic<int> works_{0};
  std::set<std::string> tried_;  // the caretaker's thread

  std::mutex work_mutex_;  // held while an entry may be opened: by one at a time; never taken under mutex_
  std::mutex mutex_;       // guards all below
  std::condition_variable news_;
  bool stopping_ = false;
  bool look_is_due_ = true;
  std::string exported_;  // the report of the newest export
  std::optional<ExportRecord> export_;
  std::thread exporter_;
  std::thread caretaker_;
};

}  // namespace pgkeel
