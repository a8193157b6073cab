#include "replication/agent/job_desk.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::size_t kRecordsMost = 32;
constexpr std::size_t kLineBytesMost = 1000;

const char* const kCutOff =
    "the agent ended while this ran, and gave it up; what it left half done is found by the next job";

}  // namespace

Result<std::unique_ptr<JobDesk>> JobDesk::open(std::string file, Work work, std::function<void()> on_change,
                                               Write write) {
  std::unique_ptr<JobDesk> desk(new JobDesk(std::move(file), std::move(work), std::move(on_change), std::move(write)));
  std::error_code problem;
  if (!std::filesystem::exists(desk->file_, problem)) return desk;
  const auto text = read_file(desk->file_);
  if (!text) return text.error();
  auto records = parse_job_records(*text);
  if (!records) return Error{desk->file_ + " is damaged; move it away: " + records.error().message};
  for (auto& record : *records) {
    if (record.state == JobState::kRunning) {
      record.state = JobState::kInterrupted;
      record.message = kCutOff;
      record.copied = true;
      desk->interrupted_.push_back(record);
    }
    desk->records_.push_back(std::move(record));
  }
  if (desk->interrupted_.empty()) return desk;
  if (const auto stored = desk->store(desk->records_); !stored) log(LogLevel::kError, "agent", stored.error().message);
  return desk;
}

Result<void> JobDesk::write_record(const std::string& file, const std::string& content) {
  return write_durably(file, content);
}

JobDesk::JobDesk(std::string file, Work work, std::function<void()> on_change, Write write)
    : file_(std::move(file)),
      work_(std::move(work)),
      on_change_(std::move(on_change)),
      write_(std::move(write)),
      clerk_([this] { store_late(); }) {}

JobDesk::~JobDesk() {
  wait();
  {
    const std::lock_guard lock(mutex_);
    clerk_may_go_ = true;
  }
  clerk_wakeup_.notify_one();
  clerk_.join();
}

void JobDesk::wait() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  news_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// Under mutex_: why this is not a job to begin now.
std::optional<Result<JobDesk::Admission>> JobDesk::in_the_way(const JobRequest& request) {
  if (request.term != 0 && request.term < newest_term_) return Admission{false, {}, newest_term_};
  newest_term_ = std::max(newest_term_, request.term);
  const auto known = std::ranges::find(records_, request.id, &JobRecord::id);
  if (known != records_.end()) return Admission{true, *known, 0};
  if (running_) return Admission{running_->same_work(request), records_.back(), 0};
  if (closed_) return Error{"the agent is about to end"};
  return std::nullopt;
}

Result<JobDesk::Admission> JobDesk::submit(JobRequest request) {
  JobRecord record;
  record.id = request.id;
  record.kind = request.kind;
  record.node = request.node;
  record.started_at = wall_now();
  const auto with_it = [&] {
    auto records = records_;
    if (records.size() >= kRecordsMost) records.pop_front();
    records.push_back(record);
    return records;
  };
  std::unique_lock file_lock(file_mutex_, std::defer_lock);
  std::unique_lock lock(mutex_, std::defer_lock);
  if (request.kind != JobKind::kFence) {
    file_lock.lock();
    lock.lock();
    if (auto other = in_the_way(request)) return *other;
    const auto records = with_it();
    lock.unlock();
    if (const auto stored = store(records); !stored) return stored.error();
    file_lock.unlock();
  }
  lock.lock();
  if (auto other = in_the_way(request)) {
    store_is_due_ = true;  // without it, where it was recorded
    clerk_wakeup_.notify_one();
    return *other;
  }
  if (thread_.joinable()) thread_.join();  // it has nothing left to do
  records_ = with_it();
  running_ = request;
  break_off_ = std::stop_source();
  works_ = true;
  try {
    thread_ =
        std::thread([this, order = std::move(request), break_off = break_off_.get_token()] { run(order, break_off); });
  } catch (const std::system_error& problem) {
    works_ = false;
    lock.unlock();
    finish(JobState::kFailed, {false, std::string("no thread for the job: ") + problem.what(), {}, {}},
           Recorded::kLater);
    lock.lock();
    return Admission{true, records_.back(), 0};
  }
  lock.unlock();
  on_change_();
  return Admission{true, record, 0};
}

void JobDesk::break_off(const std::string& id) {
  std::stop_source source(std::nostopstate);
  {
    const std::lock_guard lock(mutex_);
    if (running_ && running_->id == id) source = break_off_;
  }
  if (source.request_stop()) log(LogLevel::kWarning, "agent", "job " + id + ": to be broken off");
}

void JobDesk::run(const JobRequest& request, const std::stop_token& break_off) {
  log(LogLevel::kInfo, "agent", std::string(job_kind_name(request.kind)) + " of " + request.node + ": started");
  JobOutcome outcome;
  // What the standard library throws (no memory, a disk that fails under an iterator) must not end the agent.
  try {
    outcome = work_(
        request, [this](const std::string& line) { add_line(line); }, break_off);
  } catch (const std::exception& problem) {
    outcome.message = problem.what();
  }
  const JobState state = outcome.succeeded ? JobState::kDone : JobState::kFailed;
  finish(state, std::move(outcome), Recorded::kLater);
  works_ = false;
}

void JobDesk::add_line(const std::string& line) {
  log(LogLevel::kInfo, "agent", line);
  const std::lock_guard lock(mutex_);
  auto& record = records_.back();
  record.lines.push_back(line.substr(0, kLineBytesMost));
  if (record.lines.size() > kJobLinesMost) {
    record.lines.erase(record.lines.begin());
    record.lines_before += 1;
  }
  news_.notify_all();
}

void JobDesk::finish(JobState state, JobOutcome outcome, Recorded recorded) {
  std::unique_lock file_lock(file_mutex_, std::defer_lock);
  if (recorded == Recorded::kNow) file_lock.lock();
  std::deque<JobRecord> records;
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return;  // given up
    auto& record = records_.back();
    record.state = state;
    record.message = std::move(outcome.message);
    record.examination = outcome.examination;
    record.report = std::move(outcome.report);
    record.copied = outcome.copied;
    log(state == JobState::kDone ? LogLevel::kInfo : LogLevel::kWarning, "agent",
        std::string(job_kind_name(record.kind)) + " of " + record.node + ": " + job_state_name(state) +
            (record.message.empty() ? "" : ": " + record.message));
    running_.reset();
    if (recorded == Recorded::kLater) {
      store_is_due_ = true;
      clerk_wakeup_.notify_one();
    } else {
      records = records_;
    }
    news_.notify_all();
  }
  if (recorded == Recorded::kNow) {
    // Where it fails, the next agent takes the job for interrupted, as it is.
    if (const auto stored = store(records); !stored) log(LogLevel::kError, "agent", stored.error().message);
  }
  on_change_();
}

void JobDesk::store_late() {
  std::unique_lock lock(mutex_);
  while (true) {
    clerk_wakeup_.wait(lock, [this] { return store_is_due_ || clerk_may_go_; });
    if (!store_is_due_) return;
    lock.unlock();
    {
      const std::lock_guard file_lock(file_mutex_);
      lock.lock();
      store_is_due_ = false;
      const auto records = records_;
      lock.unlock();
      if (const auto stored = store(records); !stored) log(LogLevel::kError, "agent", stored.error().message);
    }
    lock.lock();
  }
}

std::optional<JobRecord> JobDesk::find(const std::string& id, std::uint64_t lines_known, Duration wait) {
  std::unique_lock lock(mutex_);
  std::optional<JobRecord> found;
  const auto has_news = [&] {
    const auto record = std::ranges::find(records_, id, &JobRecord::id);
    if (record == records_.end()) return true;
    found = *record;
    return found->state != JobState::kRunning || found->lines_before + found->lines.size() > lines_known || closed_;
  };
  news_.wait_for(lock, wait, has_news);
  if (!found) return std::nullopt;
  const auto skipped = std::min<std::uint64_t>(
      lines_known > found->lines_before ? lines_known - found->lines_before : 0, found->lines.size());
  found->lines.erase(found->lines.begin(), found->lines.begin() + static_cast<std::ptrdiff_t>(skipped));
  found->lines_before += skipped;
  return found;
}

std::optional<JobRecord> JobDesk::running() const {
  const std::lock_guard lock(mutex_);
  return running_ ? std::optional(records_.back()) : std::nullopt;
}

void JobDesk::give_up() {
  finish(JobState::kInterrupted, {false, kCutOff, {}, {}, true}, Recorded::kNow);
  const std::lock_guard lock(mutex_);
  closed_ = true;
  news_.notify_all();
}

Result<void> JobDesk::store(const std::deque<JobRecord>& records) const {
  std::vector<JobRecord> kept(records.begin(), records.end());
  for (auto& record : kept) record.lines.clear();
  return write_(file_, to_json(kept));
}

}  // namespace pgkeel
