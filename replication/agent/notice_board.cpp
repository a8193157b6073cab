#include "replication/agent/notice_board.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/json_members.h"

namespace pgkeel {
namespace {

constexpr std::size_t kNoticesMost = 100;

}  // namespace

NoticeBoard::NoticeBoard(std::string file) : file_(std::move(file)) {
  const auto text = read_file(file_);
  if (!text) return;
  const Json json = parse_json(*text);
  Members members(json);
  next_number_ = members.number<std::uint64_t>("next_number");
  for (const auto& row : members.array("notices", kNoticesMost)) {
    Members inner(row);
    notices_.push_back({inner.number<std::uint64_t>("number"), inner.text("text")});
    if (!inner.problem().empty()) members.complain(inner.problem());
  }
  if (members.problem().empty()) return;
  log(LogLevel::kWarning, "agent", file_ + " is damaged, and begun anew: " + members.problem());
  notices_.clear();
  // Above every number that was given: a pgkeel that heard those will hear the next one too.
  next_number_ = static_cast<std::uint64_t>(wall_now().time_since_epoch() / std::chrono::milliseconds(1));
}

void NoticeBoard::add(const std::string& text) {
  log(LogLevel::kWarning, "agent", text);
  const std::lock_guard lock(mutex_);
  notices_.push_back({next_number_++, format_wall_time(wall_now()) + ": " + text});
  if (notices_.size() > kNoticesMost) notices_.erase(notices_.begin());
  store();
}

std::vector<AgentNotice> NoticeBoard::notices() const {
  const std::lock_guard lock(mutex_);
  return notices_;
}

void NoticeBoard::heard(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (std::erase_if(notices_, [&](const AgentNotice& notice) { return notice.number <= number; }) > 0) store();
}

void NoticeBoard::store() const {
  Json json = {{"next_number", next_number_}, {"notices", Json::array()}};
  for (const auto& notice : notices_) json["notices"].push_back({{"number", notice.number}, {"text", notice.text}});
  if (const auto stored = write_durably(file_, dump_line(json)); !stored)
    log(LogLevel::kError, "agent", stored.error().message);
}

}  // namespace pgkeel
