#include "proxy/io/blocking_sql.h"

#include <algorithm>
#include <poll.h>
#include <string_view>

#include <libpq-fe.h>

#include "proxy/io/clock.h"
#include "proxy/io/libpq_connect.h"
#include "proxy/io/pg_connection.h"

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

// False: the deadline has passed.
bool wait_for_socket(PGconn* link, short events, Instant deadline) {
  while (true) {
    const auto left = to_milliseconds(deadline - monotonic_now());
    if (left <= 0) return false;
    pollfd watched{.fd = PQsocket(link), .events = events, .revents = 0};
    if (poll(&watched, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000))) > 0) return true;
  }
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

void hear_last_words(void* last_words, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "FATAL") return;
  *static_cast<SqlError*>(last_words) = error_of(*notice);
}

}  // namespace

void BlockingSql::Close::operator()(void* connection) const {
  PQfinish(link_of(connection));
}

Result<BlockingSql, SqlError> BlockingSql::connect(const std::string& conninfo) {
  BlockingSql sql(nullptr);
  auto link = libpq_connect(conninfo, hear_last_words, sql.last_words_.get());
  if (!link) return SqlError{"", one_line(link.error().message)};
  sql.connection_.reset(link->release());
  return sql;
}

Result<BlockingSql, SqlError> BlockingSql::connect_within(const std::string& conninfo, Duration limit) {
  const Instant deadline = monotonic_now() + limit;
  BlockingSql sql(PQconnectStart(conninfo.c_str()));
  PGconn* link = link_of(sql.connection_.get());
  if (link == nullptr) return SqlError{"", "out of memory"};
  PQsetNoticeReceiver(link, hear_last_words, sql.last_words_.get());
  PQsetErrorVerbosity(link, PQERRORS_VERBOSE);
  auto wanted = PGRES_POLLING_WRITING;
  while (PQstatus(link) != CONNECTION_BAD && wanted != PGRES_POLLING_OK && wanted != PGRES_POLLING_FAILED) {
    if (!wait_for_socket(link, wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
      return SqlError{"", "no answer within " + format_duration(limit)};
    wanted = PQconnectPoll(link);
  }
  if (PQstatus(link) != CONNECTION_OK) return parse_connect_error(PQerrorMessage(link));
  PQsetErrorVerbosity(link, PQERRORS_DEFAULT);
  return sql;
}

Result<SqlRows, SqlError> BlockingSql::run_within(const std::string& sql, Duration limit) {
  const Instant deadline = monotonic_now() + limit;
  PGconn* link = link_of(connection_.get());
  if (PQsendQuery(link, sql.c_str()) == 0) return SqlError{"", one_line(PQerrorMessage(link))};
  return read_results([&] {
    while (PQisBusy(link) != 0) {
      if (!wait_for_socket(link, POLLIN, deadline)) return false;
      if (PQconsumeInput(link) == 0) return true;  // PQgetResult says why
    }
    return true;
  });
}

Result<SqlRows, SqlError> BlockingSql::run(const std::string& sql) {
  PGconn* link = link_of(connection_.get());
  if (PQsendQuery(link, sql.c_str()) == 0) return SqlError{"", one_line(PQerrorMessage(link))};
  return read_results([] { return true; });
}

Result<SqlRows, SqlError> BlockingSql::read_results(const std::function<bool()>& wait_for_next) {
  PGconn* link = link_of(connection_.get());
  // The first error counts: after a FATAL one libpq adds its own, of the lost link, which has no SQLSTATE.
  std::optional<SqlError> error;
  SqlRows rows;
  while (true) {
    if (!wait_for_next()) return SqlError{"", "no answer in time"};
    const auto result = ResultPointer(PQgetResult(link), PQclear);
    if (!result) break;
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

Result<void, SqlError> BlockingSql::copy_out(const std::string& sql, const std::function<void(std::string_view)>& use) {
  PGconn* link = link_of(connection_.get());
  if (PQsendQuery(link, sql.c_str()) == 0) return SqlError{"", one_line(PQerrorMessage(link))};
  std::optional<SqlError> error;
  while (const auto result = ResultPointer(PQgetResult(link), PQclear)) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_COPY_OUT) {
      char* piece = nullptr;
      for (int bytes = 0; (bytes = PQgetCopyData(link, &piece, 0)) > 0;) {
        const std::unique_ptr<char, decltype(&PQfreemem)> owner(piece, PQfreemem);
        use(std::string_view(piece, static_cast<std::size_t>(bytes)));
      }
    } else if (status != PGRES_COMMAND_OK && !error) {
      error = error_of(*result);
    }
  }
  if (error) return *error;
  return {};
}

}  // namespace pgkeel
