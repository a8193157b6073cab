// The jobs of an agent: one at a time, on a thread of its own, with a durable record, so that whoever asked may ask
// again for the outcome, also after the agent was restarted. Passwords are in no record. Any thread.
//
// A fence does not wait for the disk, neither at its beginning nor at its end, nor while another job is being recorded:
// a failover waits for it, and fsync may take longer than all the rest. That is safe because the record announces
// nothing that the fence would have to follow (the intent is durable at the pgkeel that orders it), and because to stop
// what is stopped changes nothing: where the agent dies before the record is written, the caller, who has had no
// outcome yet or knows it already, finds no job of its id, and orders the same fence once more. For the same reason the
// end of any job is told before it is recorded: where the agent dies in between, whoever asks again finds it
// interrupted, and repeats what changes nothing any more. No call holds `mutex_` while it writes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "replication/agent/agent_protocol.h"

namespace pgkeel {

struct JobOutcome {
  bool succeeded = false;
  std::string message;
  std::optional<Examination> examination;
  std::optional<RejoinReport> report;
  bool copied = false;  // as RejoinError's
};

class JobDesk {
 public:
  using Work = std::function<JobOutcome(const JobRequest& request, const NodeHost::Progress& progress,
                                        const std::stop_token& break_off)>;

  using Write = std::function<Result<void>(const std::string& file, const std::string& content)>;

  // Reads the records in `file`. A job that was running then was cut off with the agent: it is given up, and said to
  // be interrupted; what it has left half done is found by the next job. Where that cannot be written (a full disk), it
  // is with the next record. `on_change`: a job began or ended; on any thread. `write`: durably.
  static Result<std::unique_ptr<JobDesk>> open(std::string file, Work work, std::function<void()> on_change,
                                               Write write = write_record);
  ~JobDesk();  // as wait()
  JobDesk(const JobDesk&) = delete;
  JobDesk& operator=(const JobDesk&) = delete;

  struct Admission {
    // `record` is of this job: new, known by its id, or the same work that somebody else ordered.
    bool accepted = false;
    JobRecord record;              // else of the one that runs
    std::uint64_t later_term = 0;  // refused, whatever runs: one that leads in this term has ordered something already
  };
  // An error where it can't be recorded; it is not begun then (a fence is). The newest term is known as long as the
  // agent runs: what was sent in an older one goes with the connections of the agent before.
  Result<Admission> submit(JobRequest request);

  // The job, where it runs, is to end soon, done or not.
  void break_off(const std::string& id);

  // The record with the lines of progress after the first `lines_known`. Waits up to `wait` for news.
  [[nodiscard]] std::optional<JobRecord> find(const std::string& id, std::uint64_t lines_known, Duration wait);

  [[nodiscard]] std::optional<JobRecord> running() const;

  // What was cut off with the agent before this one.
  [[nodiscard]] const std::vector<JobRecord>& interrupted() const { return interrupted_; }

  // The agent is about to end: the job that runs is recorded as interrupted, whatever becomes of it, and no other is
  // begun.
  void give_up();
  [[nodiscard]] bool works() const { return works_; }  // the job's thread has not ended, given up or not
  void wait();                                         // for the job's thread; no other is begun meanwhile

 private:
  static Result<void> write_record(const std::string& file, const std::string& content);
  JobDesk(std::string file, Work work, std::function<void()> on_change, Write write);
  [[nodiscard]] std::optional<Result<Admission>> in_the_way(const JobRequest& request);
  Result<void> store(const std::deque<JobRecord>& records) const;
  void store_late();
  void run(const JobRequest& request, const std::stop_token& break_off);
  void add_line(const std::string& line);
  enum class Recorded { kNow, kLater };
  void finish(JobState state, JobOutcome outcome, Recorded recorded);

  const std::string file_;
  const Work work_;
  const std::function<void()> on_change_;
  const Write write_;
  std::vector<JobRecord> interrupted_;

  std::atomic<bool> works_{false};
  std::mutex file_mutex_;     // held while records are written, and taken before the next one
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable news_;
  std::deque<JobRecord> records_;  // newest last
  std::uint64_t newest_term_ = 0;
  std::optional<JobRequest> running_;
  std::stop_source break_off_;  // of the job that runs
  bool closed_ = false;
  std::thread thread_;
  bool store_is_due_ = false;
  bool clerk_may_go_ = false;
  std::condition_variable clerk_wakeup_;
  std::thread clerk_;  // writes the records that nobody waits for
};

}  // namespace pgkeel
