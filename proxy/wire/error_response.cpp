#include "proxy/wire/error_response.h"

#include <cstdint>
#include <optional>

#include "proxy/wire/frame.h"

namespace pgkeel {
namespace {

struct Field {
  char code = '\0';
  std::string_view value;
  std::size_t value_at = 0;  // from the beginning of the message
};

// Calls use(Field) for each complete field.
template <class Use>
void for_each_field(Bytes message, Use&& use) {
  const std::string_view text = as_text(message);
  std::size_t position = kMessageHeaderBytes;
  while (position + 1 < text.size() && text[position] != '\0') {
    const std::size_t end = text.find('\0', position + 1);
    if (end == std::string_view::npos) return;
    use(Field{text[position], text.substr(position + 1, end - position - 1), position + 1});
    position = end + 1;
  }
}

void append_field(std::string& body, char code, std::string_view value) {
  if (value.empty()) return;
  body += code;
  // A zero inside would end the field, and all after it would be read as fields.
  for (const char character : value) body += character == '\0' ? '?' : character;
  body += '\0';
}

}  // namespace

std::string_view sqlstate_text(SqlState state) {
  switch (state) {
    case SqlState::kAdminShutdown:
      return "57P01";
    case SqlState::kCannotConnect:
      return "08001";
    case SqlState::kTooManyConnections:
      return "53300";
    case SqlState::kNotAllowed:
      return "28000";
    case SqlState::kProtocolViolation:
      return "08P01";
    case SqlState::kFeatureNotSupported:
      return "0A000";
    case SqlState::kCannotConnectNow:
      return "57P03";
  }
  return "XX000";
}

std::string build_error_response(const FatalError& error) {
  std::string body;
  append_field(body, 'S', "FATAL");
  append_field(body, 'V', "FATAL");
  append_field(body, 'C', sqlstate_text(error.sqlstate));
  append_field(body, 'M', error.message);
  append_field(body, 'D', error.detail);
  append_field(body, 'H', error.hint);
  body += '\0';
  std::string message = "E";
  append_uint32(message, static_cast<std::uint32_t>(body.size() + 4));
  return message + body;
}

ErrorFields parse_error_fields(Bytes message) {
  ErrorFields fields;
  std::string_view localized_severity;
  for_each_field(message, [&](const Field& field) {
    if (field.code == 'S') localized_severity = field.value;
    if (field.code == 'V') fields.severity = field.value;
    if (field.code == 'C') fields.sqlstate = field.value;
    if (field.code == 'M') fields.message = field.value;
    if (field.code == 'R') fields.routine = field.value;
  });
  if (fields.severity.empty()) fields.severity = localized_severity;
  return fields;
}

void announce_crash_as_shutdown(std::span<std::byte> message) {
  std::optional<std::size_t> code_at;
  for_each_field(message, [&](const Field& field) {
    if (field.code == 'C' && field.value == "57P02") code_at = field.value_at;
  });
  if (code_at) message[*code_at + 4] = std::byte{'1'};
}

}  // namespace pgkeel
