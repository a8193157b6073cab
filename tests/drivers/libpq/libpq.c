/* libpq as an application in C uses it. */
#include <libpq-fe.h>

#include "../common/answer.h"

static PGconn* connection;
static int copying_out;

/* Of the first result that is an error: what comes after a FATAL one is libpq's own word about the lost link. */
static void answer_error(const PGresult* result) {
  const char* state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  const char* primary = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
  printf("{\"ok\": false");
  answer_text("sqlstate", state);
  answer_text("class", result != NULL ? PQresStatus(PQresultStatus(result)) : "CONNECTION_BAD");
  answer_text("message", primary != NULL ? primary : PQerrorMessage(connection));
  answer_text("detail", result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL);
  answer_text("hint", result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL);
  printf(", \"broken\": %s", PQstatus(connection) == CONNECTION_BAD ? "true" : "false");
  answer_end();
}

static PGresult* first_error_or_last_result(void) {
  PGresult* kept = NULL;
  for (PGresult* result; (result = PQgetResult(connection)) != NULL;) {
    if (PQresultStatus(result) == PGRES_COPY_OUT) {
      char* row;
      while (PQgetCopyData(connection, &row, 0) > 0) PQfreemem(row);
    }
    if (kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
      PQclear(result);
      continue;
    }
    PQclear(kept);
    kept = result;
  }
  return kept;
}

static void answer_result(PGresult* result) {
  if (result == NULL || PQresultStatus(result) == PGRES_FATAL_ERROR)
    answer_error(result);
  else
    answer_ok();
  PQclear(result);
}

static void run(const char* sql) {
  if (!PQsendQuery(connection, sql)) {
    answer_error(NULL);
    return;
  }
  answer_result(first_error_or_last_result());
}

static void start_copy(const char* sql, ExecStatusType wanted) {
  PGresult* result = PQexec(connection, sql);
  copying_out = wanted == PGRES_COPY_OUT;
  char* row = NULL;
  const int moved = PQresultStatus(result) != wanted ? -1
                    : copying_out                    ? PQgetCopyData(connection, &row, 0)
                                                     : PQputCopyData(connection, "a line\n", 7);
  if (row != NULL) PQfreemem(row);
  if (moved <= 0 || (!copying_out && PQflush(connection) != 0))
    answer_error(result);
  else
    answer_ok();
  PQclear(result);
}

static void finish_copy(void) {
  if (copying_out) {
    char* row;
    while (PQgetCopyData(connection, &row, 0) > 0) PQfreemem(row);
  } else {
    PQputCopyEnd(connection, NULL);
  }
  answer_result(first_error_or_last_result());
}

static void open_connection(void) {
  PQfinish(connection);
  connection = PQconnectdb("");
  if (PQstatus(connection) == CONNECTION_OK)
    answer_ok();
  else
    answer_error(NULL);
}

int main(void) {
  char command[64];
  while (next_command(command, sizeof command)) {
    if (strcmp(command, "version") == 0) {
      snprintf(command, sizeof command, "libpq %d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
      answer_version(command);
    } else if (strcmp(command, "connect") == 0) {
      open_connection();
    } else if (strcmp(command, "begin") == 0) {
      run("BEGIN");
    } else if (strcmp(command, "query") == 0) {
      run("SELECT 1");
    } else if (strcmp(command, "hold") == 0) {
      run("SELECT pg_sleep(3600)");
    } else if (strcmp(command, "copy_out") == 0) {
      start_copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT", PGRES_COPY_OUT);
    } else if (strcmp(command, "copy_in") == 0) {
      start_copy("COPY copied FROM STDIN", PGRES_COPY_IN);
    } else if (strcmp(command, "finish") == 0) {
      finish_copy();
    } else {
      answer_unsupported();
    }
  }
  PQfinish(connection);
  return 0;
}
