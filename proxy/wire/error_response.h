// ErrorResponse and NoticeResponse (manual, "Error and Notice Message Fields"): those that the proxy makes itself, and
// what it reads of a server's. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "proxy/base/bytes.h"

namespace pgkeel {

// The SQLSTATEs of the proxy's own errors.
enum class SqlState {
  kAdminShutdown,        // 57P01: an established session ends
  kCannotConnect,        // 08001: a connecting one does
  kTooManyConnections,   // 53300
  kNotAllowed,           // 28000
  kProtocolViolation,    // 08P01
  kFeatureNotSupported,  // 0A000: protocol 2 and such
  kCannotConnectNow,     // 57P03: an operator stopped the cluster
};
constexpr std::size_t kSqlStates = 7;
std::string_view sqlstate_text(SqlState state);

struct FatalError {
  SqlState sqlstate = SqlState::kAdminShutdown;
  std::string message;
  std::string detail;  // empty: left out
  std::string hint;    // empty: left out
};

// A whole ErrorResponse of severity FATAL.
std::string build_error_response(const FatalError& error);

// Fields of an 'E' or 'N' message with its header; of one that is cut short, those that are there.
struct ErrorFields {
  std::string_view severity;  // not localized (V), or from servers before 9.6 localized (S)
  std::string_view sqlstate;
  std::string_view message;
  std::string_view routine;  // the function of the server that reports it; not there in the beginning of a long one

  // The server closes the connection after it.
  [[nodiscard]] bool ends_session() const { return severity == "FATAL" || severity == "PANIC"; }
};
ErrorFields parse_error_fields(Bytes message);

// 57P02 (another backend crashed, or an immediate stop) becomes 57P01 in place: the code that every driver's documented
// table knows as "reconnect" (design 3.3).
void announce_crash_as_shutdown(std::span<std::byte> message);

}  // namespace pgkeel
