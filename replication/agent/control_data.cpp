#include "replication/agent/control_data.h"

#include <charconv>
#include <map>

namespace pgkeel {
namespace {

using Fields = std::map<std::string, std::string, std::less<>>;

Fields split_fields(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const auto line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto begin = line.find_first_not_of(' ', colon + 1);
    fields.emplace(line.substr(0, colon), begin == std::string_view::npos ? std::string_view() : line.substr(begin));
  }
  return fields;
}

// Reads the fields one by one; remembers the first that is missing or is not what it should be.
class FieldReader {
 public:
  explicit FieldReader(Fields fields) : fields_(std::move(fields)) {}

  std::string text(std::string_view name) {
    const auto found = fields_.find(name);
    if (found == fields_.end()) {
      fail(name);
      return {};
    }
    return found->second;
  }

  std::uint32_t number(std::string_view name) {
    const auto value = text(name);
    std::uint32_t result = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (code != std::errc{} || end != value.data() + value.size()) fail(name);
    return result;
  }

  Lsn lsn(std::string_view name) {
    const auto value = parse_lsn(text(name));
    if (!value) fail(name);
    return value.value_or(Lsn{});
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void fail(std::string_view name) {
    if (problem_.empty()) problem_ = "pg_controldata's output has no valid \"" + std::string(name) + "\"";
  }

  Fields fields_;
  std::string problem_;
};

}  // namespace

Result<ControlData> parse_control_data(std::string_view text) {
  // pg_controldata goes on after this warning, with whatever the damaged file says.
  if (text.find("CRC checksum does not match") != std::string_view::npos) {
    return Error{"global/pg_control is damaged: its checksum does not match"};
  }
  FieldReader fields(split_fields(text));
  ControlData control;
  control.system_identifier = fields.text("Database system identifier");
  control.cluster_state = fields.text("Database cluster state");
  control.checkpoint = fields.lsn("Latest checkpoint location");
  control.checkpoint_redo = fields.lsn("Latest checkpoint's REDO location");
  control.checkpoint_timeline = fields.number("Latest checkpoint's TimeLineID");
  control.min_recovery_end = fields.lsn("Minimum recovery ending location");
  control.min_recovery_timeline = fields.number("Min recovery ending loc's timeline");
  control.wal_log_hints = fields.text("wal_log_hints setting") == "on";
  control.data_checksums = fields.number("Data page checksum version") != 0;
  control.wal_segment_bytes = fields.number("Bytes per WAL segment");
  control.wal_block_bytes = fields.number("WAL block size");
  control.block_bytes = fields.number("Database block size");
  control.segment_blocks = fields.number("Blocks per segment of large relation");
  control.max_prepared_transactions = fields.number("max_prepared_xacts setting");
  if (!fields.problem().empty()) return Error{fields.problem()};
  return control;
}

}  // namespace pgkeel
