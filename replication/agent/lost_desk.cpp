#include "replication/agent/lost_desk.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <utility>

#include "proxy/base/log.h"
#include "replication/agent/agent_protocol.h"
#include "replication/agent/data_directory.h"
#include "replication/agent/quarantine_care.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using namespace std::chrono_literals;

constexpr Duration kLookEvery = 10min;
constexpr const char* kServedFolder = "/rows-for-pgkeel";
constexpr std::string_view kRowsPrefix = "rows/";

// Where the rows are: as they were written before a rewind, or for pgkeel.
std::string rows_folder(const QuarantineEntry& entry) {
  return entry.folder + (entry.has_export ? "/export" : kServedFolder);
}

// A folder counts as an export only with its summary.json, so that this is to be fetched last.
std::vector<ExportedFile> files_below(const std::string& folder) {
  std::vector<ExportedFile> found;
  for (const auto& file : files::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) found.push_back({file.path().lexically_relative(folder), file.file_size()});
  }
  std::erase_if(found, [](const ExportedFile& file) { return !is_safe_file_name(file.name); });
  std::ranges::sort(found, {},
                    [](const ExportedFile& file) { return std::pair(file.name == "summary.json", file.name); });
  return found;
}

}  // namespace

LostDesk::LostDesk(LocalServerConfig server, QuarantineConfig bounds, std::function<void(const std::string&)> tell)
    : server_(std::move(server)), bounds_(bounds), tell_(std::move(tell)), caretaker_([this] { look_after(); }) {}

LostDesk::~LostDesk() {
  stop();
  caretaker_.join();
  if (exporter_.joinable()) exporter_.join();
}

void LostDesk::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  news_.notify_all();
}

void LostDesk::look_soon() {
  {
    const std::lock_guard lock(mutex_);
    look_is_due_ = true;
  }
  news_.notify_all();
}

void LostDesk::look_after() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (std::exchange(look_is_due_, false)) {
      ++works_;
      lock.unlock();
      {
        const std::lock_guard work(work_mutex_);
        const auto state = look_after_quarantine("agent", server_, bounds_, tried_);
        for (const auto& line : state.removals) tell_("quarantine: " + line);
      }
      lock.lock();
      --works_;
    }
    const bool woken = news_.wait_for(lock, kLookEvery, [this] { return stopping_ || look_is_due_; });
    if (!woken) look_is_due_ = true;
  }
}

std::vector<ToldEntry> LostDesk::entries() const {
  std::vector<ToldEntry> told;
  for (auto& entry : read_quarantine(quarantine_folder_of(server_), DataDirectory(server_).path())) {
    const bool announced = is_announced(entry.folder);
    told.push_back({std::move(entry), announced});
  }
  return told;
}

std::optional<QuarantineEntry> LostDesk::find(const std::string& id) const {
  for (auto& entry : read_quarantine(quarantine_folder_of(server_), DataDirectory(server_).path())) {
    if (entry.id == id) return std::move(entry);
  }
  return std::nullopt;
}

Result<void> LostDesk::note_announced(const std::string& id) {
  const auto entry = find(id);
  if (!entry) return Error{"there is no report " + id};
  return pgkeel::note_announced(entry->folder);
}

Result<std::string> LostDesk::read_piece(const std::string& id, const std::string& name, std::uint64_t offset) const {
  const auto entry = find(id);
  if (!entry) return Error{"there is no report " + id};
  const bool of_rows = name.starts_with(kRowsPrefix);
  const std::string rest = of_rows ? name.substr(kRowsPrefix.size()) : name;
  const bool of_report = name == "report.json" || (name.ends_with(".jsonl") && name.find('/') == std::string::npos);
  if (!is_safe_file_name(rest) || !(of_rows || of_report)) return Error{"the report has no file " + name};
  const std::string path = (of_rows ? rows_folder(*entry) : entry->folder) + "/" + rest;
  std::error_code problem;
  std::ifstream file(path, std::ios::binary);
  if (!file || !files::is_regular_file(files::symlink_status(path, problem)))
    return Error{"the report has no file " + name};
  std::string piece(kLostPieceBytes, '\0');
  file.seekg(static_cast<std::streamoff>(std::min<std::uint64_t>(offset, files::file_size(path, problem))));
  file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
  piece.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error{path + " cannot be read"};
  return piece;
}

Result<void> LostDesk::begin_export(const std::string& id) {
  const auto entry = find(id);
  if (!entry) return Error{"there is no report " + id};
  if (!entry->removed.empty()) return Error{"what it kept was removed: " + entry->removed};
  if (!entry->data_exists && !entry->has_export) {
    return Error{"the data directory " + entry->data + " is not there; is a rejoin of " + entry->divergence.node +
                 " under way? See pgkeel status"};
  }
  const std::lock_guard lock(mutex_);
  if (stopping_) return Error{"the agent is about to end"};
  if (export_ && export_->state == JobState::kRunning) {
    if (exported_ == id) return {};
    return Error{"the rows of " + exported_ + " are being written out; wait for that"};
  }
  if (exporter_.joinable()) exporter_.join();  // it has nothing left to do
  exported_ = id;
  export_.emplace();
  ++works_;
  exporter_ = std::thread([this, entry = *entry] {
    write_out(entry);
    --works_;
  });
  return {};
}

void LostDesk::write_out(const QuarantineEntry& entry) {
  ExportRecord outcome;
  try {
    std::unique_lock work(work_mutex_, std::try_to_lock);
    if (!work.owns_lock()) {
      add_line("waiting for the quarantine to be looked after");
      work.lock();
    }
    const auto folder = rows_folder(entry);
    Result<LostExportReport> report = LostExportReport();
    if (entry.has_export) {
      add_line("its rows were written out before the rewind");
    } else {
      files::remove_all(folder);  // of an export that was not fetched to its end
      report = export_lost_rows(entry, server_, entry.data, folder, OpenDiverged::kWorkingCopy,
                                [this](const std::string& line) { add_line(line); });
    }
    outcome.state = report ? JobState::kDone : JobState::kFailed;
    if (report) {
      outcome.report = *report;
      outcome.files = files_below(folder);
    } else {
      outcome.message = report.error().message;
    }
  } catch (const std::exception& problem) {
    outcome = {};
    outcome.state = JobState::kFailed;
    outcome.message = problem.what();
  }
  log(LogLevel::kInfo, "agent",
      "rows of " + entry.id + ": " + job_state_name(outcome.state) +
          (outcome.message.empty() ? "" : ": " + outcome.message));
  {
    const std::lock_guard lock(mutex_);
    outcome.lines_before = export_->lines_before;
    outcome.lines = std::move(export_->lines);
    export_ = std::move(outcome);
  }
  news_.notify_all();
}

void LostDesk::add_line(const std::string& line) {
  log(LogLevel::kInfo, "agent", line);
  {
    const std::lock_guard lock(mutex_);
    export_->lines.push_back(line);
    if (export_->lines.size() > kJobLinesMost) {
      export_->lines.erase(export_->lines.begin());
      export_->lines_before += 1;
    }
  }
  news_.notify_all();
}

std::optional<ExportRecord> LostDesk::find_export(const std::string& id, std::uint64_t lines_known, Duration wait) {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, wait, [&] {
    return stopping_ || exported_ != id || export_->state != JobState::kRunning ||
           export_->lines_before + export_->lines.size() > lines_known;
  });
  if (exported_ != id) return std::nullopt;
  ExportRecord told = *export_;
  const auto skipped =
      std::min<std::uint64_t>(lines_known > told.lines_before ? lines_known - told.lines_before : 0, told.lines.size());
  told.lines.erase(told.lines.begin(), told.lines.begin() + static_cast<std::ptrdiff_t>(skipped));
  told.lines_before += skipped;
  return told;
}

Result<void> LostDesk::remove_export(const std::string& id) {
  const auto entry = find(id);
  if (!entry) return Error{"there is no report " + id};
  const std::lock_guard lock(mutex_);
  if (exported_ == id && export_->state == JobState::kRunning) return Error{"it is still being written"};
  if (exported_ == id) {
    exported_.clear();
    export_.reset();
  }
  std::error_code problem;
  files::remove_all(entry->folder + kServedFolder, problem);
  if (problem) return Error{entry->folder + kServedFolder + " cannot be removed: " + problem.message()};
  return {};
}

}  // namespace pgkeel
