// A blocking libpq connection for tests. One thread.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/io/libpq_connect.h"

namespace pgkeel::test {

// What libpq or the server said. `sqlstate` is empty where the server did not speak.
struct SqlError : std::runtime_error {
  SqlError(const std::string& message, std::string state, std::string state_of_notice = {})
      : std::runtime_error(message), sqlstate(std::move(state)), notice_sqlstate(std::move(state_of_notice)) {}
  std::string sqlstate;
  // Of a FATAL error that arrived in one piece with the end of the statement, or of the login, before: libpq
  // (pqParseInput3) reads on, finds itself idle, and hands the error to the notice receiver; the next statement then
  // fails without an SQLSTATE.
  std::string notice_sqlstate;
};

// Rows of text; null is nullopt.
using Rows = std::vector<std::vector<std::optional<std::string>>>;

class SqlConnection {
 public:
  explicit SqlConnection(const std::string& conninfo);  // throws SqlError
  SqlConnection(const SqlConnection&) = delete;         // libpq has its address
  SqlConnection& operator=(const SqlConnection&) = delete;

  Rows query(const std::string& sql);         // the last statement's rows; throws SqlError
  std::string value(const std::string& sql);  // first column of the first row, "" where it is null or absent
  // The SQLSTATE that its next statement gets; "none" where that succeeds.
  std::string next_error();
  [[nodiscard]] bool has_heard() const;  // something, or the end, waits to be read
  // From now on a statement that has no answer for so long is cancelled once, as drivers do with a query time-out.
  void cancel_after(Duration patience) { patience_ = patience; }
  [[nodiscard]] pg_conn* handle() const { return connection_.get(); }  // for whatever these calls lack

 private:
  void await_or_cancel() const;

  std::optional<Duration> patience_;
  std::string notice_sqlstate_;  // of the last FATAL error that came as a notice
  LibpqConnection connection_;
};

}  // namespace pgkeel::test
