#include "tests/support/sql_connection.h"

#include <array>
#include <poll.h>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

namespace pgkeel::test {
namespace {

using ResultPointer = std::unique_ptr<PGresult, decltype(&PQclear)>;

Rows rows_of(const PGresult& result) {
  Rows rows(static_cast<std::size_t>(PQntuples(&result)));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(&result); ++column) {
      const int index = static_cast<int>(row);
      if (PQgetisnull(&result, index, column) != 0) {
        rows[row].emplace_back(std::nullopt);
      } else {
        rows[row].emplace_back(PQgetvalue(&result, index, column));
      }
    }
  }
  return rows;
}

}  // namespace

SqlConnection::SqlConnection(const std::string& conninfo) {
  auto connection = libpq_connect(
      conninfo,
      [](void* notice_sqlstate, const PGresult* notice) {
        const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char* state = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
        if (severity == nullptr || state == nullptr || std::string_view(severity) != "FATAL") return;
        *static_cast<std::string*>(notice_sqlstate) = state;
      },
      &notice_sqlstate_);
  if (!connection) throw SqlError(connection.error().message, "");
  connection_ = std::move(*connection);
}

Rows SqlConnection::query(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) {
    throw SqlError(PQerrorMessage(connection_.get()), "", notice_sqlstate_);
  }
  if (patience_) await_or_cancel();
  // The first error counts: after a FATAL one libpq adds its own, of the lost link, which has no SQLSTATE.
  std::optional<SqlError> error;
  Rows rows;
  while (const auto result = ResultPointer(PQgetResult(connection_.get()), PQclear)) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
      rows = rows_of(*result);
    } else if (!error) {
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      error = SqlError(PQresultErrorMessage(result.get()), state != nullptr ? state : "", notice_sqlstate_);
    }
  }
  if (error) throw *error;
  return rows;
}

std::string SqlConnection::next_error() {
  try {
    query("select 1");
    return "none";
  } catch (const SqlError& error) {
    return error.sqlstate.empty() ? error.notice_sqlstate : error.sqlstate;
  }
}

bool SqlConnection::has_heard() const {
  pollfd ready = {.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 0) == 1;
}

void SqlConnection::await_or_cancel() const {
  pollfd answer{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
  if (poll(&answer, 1, static_cast<int>(to_milliseconds(*patience_))) != 0) return;
  const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> request(PQgetCancel(connection_.get()), PQfreeCancel);
  std::array<char, 256> error{};
  PQcancel(request.get(), error.data(), static_cast<int>(error.size()));
}

std::string SqlConnection::value(const std::string& sql) {
  const Rows rows = query(sql);
  return rows.empty() || rows[0].empty() ? std::string() : rows[0][0].value_or("");
}

}  // namespace pgkeel::test
