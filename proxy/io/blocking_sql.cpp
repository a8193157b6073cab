#include "proxy/io/blocking_sql.h"

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

}  // namespace

void BlockingSql::Close::operator()(void* connection) const {
  PQfinish(link_of(connection));
}

Result<BlockingSql, SqlError> BlockingSql::connect(const std::string& conninfo) {
  BlockingSql sql(PQconnectdb(conninfo.c_str()));
  PGconn* link = link_of(sql.connection_.get());
  if (PQstatus(link) != CONNECTION_OK) return SqlError{"", one_line(PQerrorMessage(link))};
  PQsetNoticeProcessor(
      link, [](void*, const char*) {}, nullptr);
  return sql;
}

Result<SqlRows, SqlError> BlockingSql::run(const std::string& sql) {
  PGconn* link = link_of(connection_.get());
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(link, sql.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    return SqlError{sqlstate != nullptr ? sqlstate : "",
                    one_line(result ? PQresultErrorMessage(result.get()) : PQerrorMessage(link))};
  }
  SqlRows rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    auto& cells = rows.rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      const bool null = PQgetisnull(result.get(), row, column) != 0;
      cells.push_back(null ? std::nullopt : std::optional<std::string>(PQgetvalue(result.get(), row, column)));
    }
  }
  return rows;
}

}  // namespace pgkeel
