#include "tests/support/sql_connection.h"

#include <libpq-fe.h>

namespace pgkeel::test {

void SqlConnection::Closer::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

SqlConnection::SqlConnection(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) throw SqlError(PQerrorMessage(connection_.get()), "");
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

SqlConnection::~SqlConnection() = default;

Rows SqlConnection::query(const std::string& sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
    const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    throw SqlError(PQerrorMessage(connection_.get()), state != nullptr ? state : "");
  }
  Rows rows(static_cast<std::size_t>(PQntuples(result.get())));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      const int index = static_cast<int>(row);
      if (PQgetisnull(result.get(), index, column) != 0) {
        rows[row].emplace_back(std::nullopt);
      } else {
        rows[row].emplace_back(PQgetvalue(result.get(), index, column));
      }
    }
  }
  return rows;
}

std::string SqlConnection::value(const std::string& sql) {
  const Rows rows = query(sql);
  return rows.empty() || rows[0].empty() ? std::string() : rows[0][0].value_or("");
}

}  // namespace pgkeel::test
