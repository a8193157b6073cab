// PostgreSQL messages as byte strings, for scripts of what a client and a server say. Built apart from proxy/wire, so
// that a test does not believe what it checks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgkeel::wire_test {

using namespace std::string_view_literals;

inline std::string int32_bytes(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

inline std::string int16_bytes(std::uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

inline std::string zero_terminated(std::string_view text) {
  return std::string(text) + '\0';
}

// A typed message.
inline std::string message(char type, std::string_view body) {
  return std::string(1, type) + int32_bytes(static_cast<std::uint32_t>(body.size() + 4)) + std::string(body);
}

// ---- what a client says ----
inline std::string untyped(std::string_view body) {
  return int32_bytes(static_cast<std::uint32_t>(body.size() + 4)) + std::string(body);
}
inline std::string startup_message(std::uint16_t minor_version = 0, std::string_view user = "alice") {
  return untyped(int16_bytes(3) + int16_bytes(minor_version) + zero_terminated("user") + zero_terminated(user) + '\0');
}
inline std::string ssl_request() {
  return untyped(int32_bytes(80877103));
}
inline std::string gss_encryption_request() {
  return untyped(int32_bytes(80877104));
}
inline std::string cancel_request(std::uint32_t process_id, std::string_view secret) {
  return untyped(int32_bytes(80877102) + int32_bytes(process_id) + std::string(secret));
}
inline std::string query(std::string_view sql) {
  return message('Q', zero_terminated(sql));
}
inline std::string password(std::string_view text) {
  return message('p', zero_terminated(text));
}
inline std::string parse(std::string_view sql) {
  return message('P', zero_terminated("") + zero_terminated(sql) + int16_bytes(0));
}
inline std::string bind() {
  return message('B', "\0\0\0\0\0\0\0\0"sv);
}
inline std::string execute() {
  return message('E', "\0\0\0\0\0"sv);
}
inline std::string sync_message() {
  return message('S', "");
}
inline std::string terminate() {
  return message('X', "");
}

// ---- what a server says ----
inline std::string authentication(std::uint32_t code, std::string_view more = "") {
  return message('R', int32_bytes(code) + std::string(more));
}
inline std::string authentication_ok() {
  return authentication(0);
}
inline std::string parameter_status(std::string_view name, std::string_view value) {
  return message('S', zero_terminated(name) + zero_terminated(value));
}
inline std::string backend_key_data(std::uint32_t process_id, std::string_view secret) {
  return message('K', int32_bytes(process_id) + std::string(secret));
}
inline std::string ready_for_query(char status) {
  return message('Z', std::string(1, status));
}
inline std::string command_complete(std::string_view tag) {
  return message('C', zero_terminated(tag));
}
inline std::string data_row(std::string_view value) {
  return message('D', int16_bytes(1) + int32_bytes(static_cast<std::uint32_t>(value.size())) + std::string(value));
}
// type: 'E' or 'N'
inline std::string report(char type, std::string_view severity, std::string_view sqlstate, std::string_view text) {
  return message(type, "S" + zero_terminated(severity) + "V" + zero_terminated(severity) + "C" +
                           zero_terminated(sqlstate) + "M" + zero_terminated(text) + '\0');
}
// A whole report of PostgreSQL 15, in the order in which it sends the fields.
inline std::string full_report(char type, std::string_view severity, std::string_view sqlstate, std::string_view text,
                               std::string_view context, std::string_view routine) {
  std::string body = "S" + zero_terminated("WARNUNG") + "V" + zero_terminated(severity) + "C" +
                     zero_terminated(sqlstate) + "M" + zero_terminated(text);
  if (!context.empty()) body += "W" + zero_terminated(context);
  body += "F" + zero_terminated("syncrep.c") + "L" + zero_terminated("283") + "R" + zero_terminated(routine) + '\0';
  return message(type, body);
}
// What a primary says to a client that need not authenticate.
inline std::string login_answer(std::uint32_t process_id = 4711, std::string_view secret = "\1\2\3\4"sv,
                                std::string_view in_hot_standby = "off") {
  return authentication_ok() + parameter_status("server_version", "15.4") +
         parameter_status("in_hot_standby", in_hot_standby) + backend_key_data(process_id, secret) +
         ready_for_query('I');
}

// ---- what was heard ----
struct Heard {
  char type = '\0';
  std::string body;

  // The field of an ErrorResponse or NoticeResponse; empty where it has none.
  [[nodiscard]] std::string field(char code) const {
    std::size_t at = 0;
    while (at + 1 < body.size() && body[at] != '\0') {
      const std::size_t end = body.find('\0', at + 1);
      if (end == std::string::npos) break;
      if (body[at] == code) return body.substr(at + 1, end - at - 1);
      at = end + 1;
    }
    return {};
  }
};

// Splits what was heard into messages; what does not end with a whole one gets a last entry of type '?'.
inline std::vector<Heard> split_messages(std::string_view bytes) {
  std::vector<Heard> messages;
  while (!bytes.empty()) {
    std::uint32_t length = 0;
    if (bytes.size() >= 5) {
      for (std::size_t at = 1; at < 5; ++at) length = (length << 8) | static_cast<unsigned char>(bytes[at]);
    }
    if (length < 4 || bytes.size() < length + 1) {
      messages.push_back({'?', std::string(bytes)});
      break;
    }
    messages.push_back({bytes[0], std::string(bytes.substr(5, length - 4))});
    bytes.remove_prefix(length + 1);
  }
  return messages;
}

}  // namespace pgkeel::wire_test
