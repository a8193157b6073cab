#include "proxy/io/blocking_sql.h"

#include <string_view>

#include <libpq-fe.h>

namespace pgkeel {
namespace {

PGconn* link_of(void* connection) {
  return static_cast<PGconn*>(connection);
}

std::string one_line(std::string text) {
  for (char& letter : text) {
    if (letter == '\n') letter = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

using ResultPointer = std::unique_ptr<PGresult, decltype(&PQclear)>;

SqlRows rows_of(const PGresult& result) {
  SqlRows rows;
  for (int row = 0; row < PQntuples(&result); ++row) {
    auto& cells = rows.rows.emplace_back();
    for (int column = 0; column < PQnfields(&result); ++column) {
      const bool null = PQgetisnull(&result, row, column) != 0;
      cells.push_back(null ? std::nullopt : std::optional<std::string>(PQgetvalue(&result, row, column)));
    }
  }
  return rows;
}

SqlError error_of(const PGresult& result) {
  const char* sqlstate = PQresultErrorField(&result, PG_DIAG_SQLSTATE);
  if (sqlstate == nullptr) return {"", one_line(PQresultErrorMessage(&result))};
  std::string message = PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
  if (const char* detail = PQresultErrorField(&result, PG_DIAG_MESSAGE_DETAIL))
    message += std::string(" [") + detail + "]";
  return {sqlstate, one_line(std::move(message))};
}

}  // namespace

void BlockingSql::Close::operator()(void* connection) const {
  PQfinish(link_of(connection));
}

Result<BlockingSql, SqlError> BlockingSql::connect(const std::string& conninfo) {
  BlockingSql sql(PQconnectdb(conninfo.c_str()));
  PGconn* link = link_of(sql.connection_.get());
  if (PQstatus(link) != CONNECTION_OK) return SqlError{"", one_line(PQerrorMessage(link))};
  PQsetNoticeReceiver(
      link,
      [](void* last_words, const PGresult* notice) {
        const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        if (severity == nullptr || std::string_view(severity) != "FATAL") return;
        *static_cast<SqlError*>(last_words) = error_of(*notice);
      },
      sql.last_words_.get());
  return sql;
}

Result<SqlRows, SqlError> BlockingSql::run(const std::string& sql) {
  PGconn* link = link_of(connection_.get());
  if (PQsendQuery(link, sql.c_str()) == 0) return SqlError{"", one_line(PQerrorMessage(link))};
  // The first error counts: after a FATAL one libpq adds its own, of the lost link, which has no SQLSTATE.
  std::optional<SqlError> error;
  SqlRows rows;
  while (const auto result = ResultPointer(PQgetResult(link), PQclear)) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
      rows = rows_of(*result);
    } else if (!error) {
      error = error_of(*result);
    }
  }
  if (error && error->sqlstate.empty() && !last_words_->sqlstate.empty()) return *last_words_;
  if (error) return *error;
  return rows;
}

}  // namespace pgkeel
