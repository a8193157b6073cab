/* ODBC: psqlodbc below unixODBC. */
#include <sql.h>
#include <sqlext.h>

#include "../common/answer.h"

static SQLHENV driver_manager;
static SQLHDBC connection;
static int connected;

static int succeeded(SQLRETURN outcome) { return SQL_SUCCEEDED(outcome) || outcome == SQL_NO_DATA; }

static int is_dead(void) {
  SQLUINTEGER dead = SQL_CD_FALSE;
  if (!connected) return 1;
  SQLGetConnectAttr(connection, SQL_ATTR_CONNECTION_DEAD, &dead, SQL_IS_UINTEGER, NULL);
  return dead == SQL_CD_TRUE;
}

static void answer_outcome(SQLRETURN outcome, SQLSMALLINT type, SQLHANDLE handle) {
  if (succeeded(outcome)) {
    answer_ok();
    return;
  }
  SQLCHAR state[6] = "";
  SQLCHAR message[1024] = "";
  SQLINTEGER native = 0;
  SQLSMALLINT length = 0;
  SQLGetDiagRec(type, handle, 1, state, &native, message, sizeof message, &length);
  printf("{\"ok\": false");
  answer_text("sqlstate", (const char*)state);
  answer_text("class", outcome == SQL_ERROR ? "SQL_ERROR" : "SQL_INVALID_HANDLE");
  answer_text("message", (const char*)message);
  printf(", \"broken\": %s", is_dead() ? "true" : "false");
  answer_end();
}

static void disconnect(void) {
  if (connection == SQL_NULL_HDBC) return;
  SQLEndTran(SQL_HANDLE_DBC, connection, SQL_ROLLBACK);
  SQLDisconnect(connection);
  SQLFreeHandle(SQL_HANDLE_DBC, connection);
  connection = SQL_NULL_HDBC;
}

static void open_connection(void) {
  char target[512];
  snprintf(target, sizeof target, "DRIVER={PostgreSQL Unicode};Servername=%s;Port=%s;Database=%s;Username=%s;Password=%s;SSLmode=%s;"
           "pqopt={application_name=%s}",
           environment("PGHOST"), environment("PGPORT"), environment("PGDATABASE"), environment("PGUSER"),
           environment("PGPASSWORD"), environment("PGSSLMODE"), environment("PGAPPNAME"));
  disconnect();
  SQLAllocHandle(SQL_HANDLE_DBC, driver_manager, &connection);
  const SQLRETURN outcome =
      SQLDriverConnect(connection, NULL, (SQLCHAR*)target, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
  connected = succeeded(outcome);
  answer_outcome(outcome, SQL_HANDLE_DBC, connection);
}

static void run(const char* sql) {
  SQLHSTMT statement;
  SQLAllocHandle(SQL_HANDLE_STMT, connection, &statement);
  answer_outcome(SQLExecDirect(statement, (SQLCHAR*)sql, SQL_NTS), SQL_HANDLE_STMT, statement);
  SQLFreeHandle(SQL_HANDLE_STMT, statement);
}

static void begin(void) {
  SQLSetConnectAttr(connection, SQL_ATTR_AUTOCOMMIT, (SQLPOINTER)SQL_AUTOCOMMIT_OFF, 0);
  run("SELECT 1");
}

static void tell_version(void) {
  answer_version("psqlodbc " PSQLODBC_VERSION);
}

int main(void) {
  char command[64];
  SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &driver_manager);
  SQLSetEnvAttr(driver_manager, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
  while (next_command(command, sizeof command)) {
    if (strcmp(command, "version") == 0)
      tell_version();
    else if (strcmp(command, "connect") == 0)
      open_connection();
    else if (strcmp(command, "begin") == 0)
      begin();
    else if (strcmp(command, "query") == 0)
      run("SELECT 1");
    else if (strcmp(command, "hold") == 0)
      run("SELECT pg_sleep(3600)");
    else
      answer_unsupported();
  }
  disconnect();
  SQLFreeHandle(SQL_HANDLE_ENV, driver_manager);
  return 0;
}
