#include "replication/state/decision_log.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string_view>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "proxy/base/log.h"
#include "proxy/io/durable_file.h"
#include "replication/state/decision_text.h"
#include "replication/state/memory_text.h"

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

// A line without its newline: checksum, blank, JSON. Nothing where it is damaged.
std::optional<Json> read_line(std::string_view line) {
  constexpr std::size_t kChecksumLength = 8;
  if (line.size() < kChecksumLength + 2 || line[kChecksumLength] != ' ') return std::nullopt;
  const std::string_view text = line.substr(kChecksumLength + 1);
  if (checksum_of(text) != line.substr(0, kChecksumLength)) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  const bool usable = json.is_object() && json.contains("id") && json["id"].is_number_unsigned() &&
                      json.contains("cluster") && json["cluster"].is_string();
  return usable ? std::optional(std::move(json)) : std::nullopt;
}

}  // namespace

Result<std::unique_ptr<DecisionLog>> DecisionLog::open(const std::string& directory) {
  std::unique_ptr<DecisionLog> log(new DecisionLog(directory + "/decisions.log"));
  if (!std::filesystem::exists(log->path_)) return log;
  const auto text = read_file(log->path_);
  if (!text) return text.error();
  log->file_bytes_ = text->size();
  std::string_view rest = *text;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    if (const auto json = read_line(rest.substr(0, end))) {
      const auto id = (*json)["id"].get<std::uint64_t>();
      log->next_id_ = std::max(log->next_id_, id + 1);
      log->remember({id, (*json)["cluster"].get<std::string>(), json->dump()});
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // What a crash tore is ended here: the next record begins on a line of its own.
  if (!text->empty() && text->back() != '\n') log->write("");
  return log;
}

std::uint64_t DecisionLog::keep(DecisionRecord record) {
  if (record.id == 0) record.id = next_id_++;
  const std::string json = decision_json(record);
  write(checksum_of(json) + " " + json);
  remember({record.id, record.cluster, json});
  return record.id;
}

void DecisionLog::remember(Entry entry) {
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(entries_, entry.id, &Entry::id);
  if (known != entries_.end()) {
    *known = std::move(entry);
    return;
  }
  entries_.push_back(std::move(entry));
  if (entries_.size() > kRecordsInMemory) entries_.pop_front();
}

void DecisionLog::write(const std::string& line) {
  if (file_bytes_ > kFileBytesMax && std::rename(path_.c_str(), (path_ + ".1").c_str()) == 0) file_bytes_ = 0;
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string text = line + "\n";
  const auto written = descriptor < 0 ? -1 : ::write(descriptor, text.data(), text.size());
  const int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (written > 0) file_bytes_ += static_cast<std::size_t>(written);
  if (written == static_cast<ssize_t>(text.size())) return;
  log(LogLevel::kError, "decisions",
      path_ + " cannot be written: " + std::strerror(reason) + "; the record stays in memory only");
}

std::vector<std::string> DecisionLog::newest(const std::string& cluster, std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (auto entry = entries_.rbegin(); entry != entries_.rend() && found.size() < most; ++entry) {
    if (entry->cluster == cluster) found.push_back(entry->json);
  }
  std::ranges::reverse(found);
  return found;
}

std::vector<DecisionRecord> DecisionLog::unfinished(const std::string& cluster) const {
  std::vector<DecisionRecord> found;
  std::optional<DecisionRecord> last_failover;
  for (const auto& json : newest(cluster, kRecordsInMemory)) {
    auto record = read_decision(json);
    if (!record) continue;  // of another version of pgkeel
    if (record->kind == DecisionRecord::Kind::kFailover) last_failover = *record;
    if (record->outcome == "under way") found.push_back(std::move(*record));
  }
  const bool ended =
      !last_failover || last_failover->outcome != "done" ||
      std::ranges::find(last_failover->steps, kLastStep, &DecisionRecord::Step::name) != last_failover->steps.end();
  if (!ended) found.push_back(std::move(*last_failover));
  return found;
}

}  // namespace pgkeel
