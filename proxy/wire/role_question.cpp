#include "proxy/wire/role_question.h"

#include <string_view>

#include "proxy/wire/frame.h"
#include "proxy/wire/startup.h"

namespace pgkeel {
namespace {

constexpr std::string_view kAskBackend = "SELECT pg_catalog.pg_is_in_recovery()";
// The only way to ask such a walsender of versions 10 to 13. "off" is certain; "on" may also be the default of a role
// or a database, and is no answer.
constexpr std::string_view kAskWalSender = "SHOW transaction_read_only";

// A yes as PostgreSQL reads it: these, and what they begin with, in any case. "database" stands for logical
// replication.
bool wants_physical_replication(Bytes startup_packet) {
  const std::string value = startup_parameter(startup_packet, "replication");
  if (value.empty()) return false;
  const char first = static_cast<char>(value.front() | 0x20);
  const bool is_on = first == 'o' && value.size() == 2;
  return first == 't' || first == 'y' || value == "1" || is_on;
}

}  // namespace

RoleQuestion::RoleQuestion(Bytes startup_packet) : physical_replication_(wants_physical_replication(startup_packet)) {}

std::string RoleQuestion::text() const {
  const std::string_view sql = physical_replication_ ? kAskWalSender : kAskBackend;
  std::string message = "Q";
  append_uint32(message, static_cast<std::uint32_t>(sql.size() + 5));
  message += sql;
  message += '\0';
  return message;
}

RoleQuestion::Part RoleQuestion::take(Bytes message) {
  switch (static_cast<char>(message[0])) {
    case 'Z':
      return Part::kEnd;
    case 'N':
    case 'S':
    case 'A':
      return Part::kUnasked;
    case 'D':
      take_row(message);
      return Part::kAnswer;
    default:
      return Part::kAnswer;
  }
}

void RoleQuestion::take_row(Bytes row) {
  // A count of columns (2 bytes), the length of the first one (4), its text.
  constexpr std::size_t kValueAt = kMessageHeaderBytes + 6;
  if (row.size() <= kValueAt) return;
  const std::string_view value = as_text(row.subspan(kValueAt));
  if (physical_replication_) {
    if (value == "off") in_recovery_ = false;
  } else if (value == "t" || value == "f") {
    in_recovery_ = value == "t";
  }
}

}  // namespace pgkeel
