#include "replication/execute/agent_lost.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <thread>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/quarantine_entry.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kReportLimit = 30s;
constexpr Duration kProgressWait = 1s;
constexpr Duration kPatience = 60s;  // so long an agent may be silent in the middle of an export
constexpr Duration kAskExportAgainPause = 500ms;
constexpr std::size_t kTextBytesMax = std::size_t{256} << 20;
constexpr std::size_t kRecordBytesMax = std::size_t{64} << 20;

std::string path_of(const std::string& id, const std::string& rest) {
  return std::string(kAgentPathPrefix) + "/lost/" + id + "/" + rest;
}

// Of a name that stands in a query: what is not plain is written as %XX.
std::string escaped(const std::string& text) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string written;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '/') {
      written += c;
    } else {
      written += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return written;
}

Result<HttpsAnswer> good(Result<HttpsAnswer> answer) {
  if (answer && answer->status != 200 && answer->status != 202)
    return Error{"the agent refuses (" + std::to_string(answer->status) + "): " + parse_error(answer->body)};
  return answer;
}

Result<HttpsAnswer> get(AgentConnections& agent, const std::string& path, Duration limit = kReportLimit,
                        std::size_t bytes_max = kRecordBytesMax) {
  auto connection = agent.for_job();
  return connection ? good((*connection)->get(path, limit, bytes_max)) : connection.error();
}

Result<HttpsAnswer> post(AgentConnections& agent, const std::string& path) {
  auto connection = agent.for_job();
  return connection ? good((*connection)->post(path, "{}", kReportLimit)) : connection.error();
}

Result<void> done_or_error(const Result<HttpsAnswer>& answer) {
  return answer ? Result<void>() : Result<void>(answer.error());
}

}  // namespace

Result<std::vector<ToldEntry>> AgentLost::entries() {
  const auto answer = get(*agent_, std::string(kAgentPathPrefix) + "/lost");
  if (!answer) return answer.error();
  return parse_told_entries(answer->body);
}

Result<void> AgentLost::note_announced(const std::string& id) {
  return done_or_error(post(*agent_, path_of(id, "announced")));
}

Result<void> AgentLost::read_file(const std::string& id, const std::string& name, const Use& use) {
  for (std::uint64_t offset = 0;;) {
    const auto answer = get(*agent_, path_of(id, "file?name=" + escaped(name) + "&offset=" + std::to_string(offset)));
    if (!answer) return answer.error();
    if (auto used = use(answer->body); !used) return used;
    offset += answer->body.size();
    if (answer->body.size() < kLostPieceBytes) return {};
  }
}

Result<std::string> AgentLost::read_text(const std::string& id, const std::string& name) {
  std::string text;
  const auto read = read_file(id, name, [&](const std::string& piece) -> Result<void> {
    if (text.size() + piece.size() > kTextBytesMax) return Error{name + " of " + id + " is too long to be shown"};
    text += piece;
    return {};
  });
  if (!read) return read.error();
  return text;
}

Result<nlohmann::json> AgentLost::report(const std::string& id) {
  const auto text = read_text(id, "report.json");
  if (!text) return text.error();
  auto report = nlohmann::json::parse(*text, nullptr, false);
  if (!report.is_object()) return Error{"report.json of " + id + " is damaged"};
  return report;
}

Result<std::vector<nlohmann::json>> AgentLost::transactions(const std::string& id, const nlohmann::json& report) {
  const std::string name = transactions_file_of(report);
  if (name.empty()) return std::vector<nlohmann::json>();
  const auto text = read_text(id, name);
  if (!text) return text.error();
  return parse_lost_transactions(*text, name + " of " + id);
}

Result<ExportRecord> AgentLost::wait_for_export(const std::string& id,
                                                const std::function<void(const std::string&)>& progress) {
  std::uint64_t told = 0;
  Instant heard_at = monotonic_now();
  while (true) {
    const auto answer = get(*agent_,
                            path_of(id, "export?after=" + std::to_string(told) +
                                            "&wait_ms=" + std::to_string(to_milliseconds(kProgressWait))),
                            kReportLimit);
    if (!answer) {
      if (monotonic_now() - heard_at >= kPatience) return answer.error();
      std::this_thread::sleep_for(kAskExportAgainPause);
      continue;
    }
    heard_at = monotonic_now();
    auto record = parse_export_record(answer->body);
    if (!record) return record;
    for (std::size_t i = 0; i < record->lines.size(); ++i) {
      if (record->lines_before + i >= told) progress(record->lines[i]);
    }
    told = std::max<std::uint64_t>(told, record->lines_before + record->lines.size());
    if (record->state == JobState::kRunning) continue;
    if (record->state == JobState::kDone) return record;
    return Error{record->message};
  }
}

Result<void> AgentLost::fetch(const std::string& id, const ExportedFile& file, const std::string& target) {
  const std::string path = target + "/" + file.name;
  std::error_code problem;
  files::create_directories(files::path(path).parent_path(), problem);
  if (problem) return Error{"cannot create the folder of " + path + ": " + problem.message()};
  const auto failed = [&] { return Error{"cannot write " + path + ": " + std::strerror(errno)}; };
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (descriptor < 0) return failed();
  std::uint64_t bytes = 0;
  auto read = read_file(id, "rows/" + file.name, [&](const std::string& piece) -> Result<void> {
    for (std::size_t written = 0; written < piece.size();) {
      const auto count = write(descriptor, piece.data() + written, piece.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failed();
      written += static_cast<std::size_t>(count);
    }
    bytes += piece.size();
    return {};
  });
  if (close(descriptor) != 0 && read) read = failed();
  if (read && bytes != file.bytes) {
    return Error{file.name + " has " + std::to_string(bytes) + " bytes here, and " + std::to_string(file.bytes) +
                 " at the agent"};
  }
  return read;
}

Result<LostExportReport> AgentLost::export_rows(const std::string& id, const std::string& target,
                                                const std::function<void(const std::string&)>& progress) {
  if (auto prepared = prepare_export_folder(target); !prepared) return prepared.error();
  if (const auto begun = post(*agent_, path_of(id, "export")); !begun) return begun.error();
  auto record = wait_for_export(id, progress);
  if (!record) return record.error();
  std::size_t done = 0;
  for (const auto& file : record->files) {
    progress("fetching " + file.name + " (" + std::to_string(++done) + " of " + std::to_string(record->files.size()) +
             " files)");
    if (auto fetched = fetch(id, file, target); !fetched) return fetched.error();
  }
  if (auto synced = sync_file_system(target); !synced) return synced.error();
  if (auto finished = finish_export_folder(target); !finished) return finished.error();
  if (const auto removed = post(*agent_, path_of(id, "export/remove")); !removed)
    record->report.problems.push_back("the copy at the agent's host is not removed: " + removed.error().message);
  return std::move(record->report);
}

}  // namespace pgkeel
