// C++, libpqxx.
#include <memory>
#include <pqxx/pqxx>

#include "tests/drivers/common/answer.h"

namespace {

std::unique_ptr<pqxx::connection> connection;
std::unique_ptr<pqxx::nontransaction> statements;

void answer_error(const char* error_class, const char* message, const char* state) {
  printf("{\"ok\": false");
  answer_text("class", error_class);
  answer_text("sqlstate", state);
  answer_text("message", message);
  printf(", \"broken\": %s", connection == nullptr || !connection->is_open() ? "true" : "false");
  answer_end();
}

void open_connection() {
  statements.reset();
  connection.reset();
  connection = std::make_unique<pqxx::connection>("");
  statements = std::make_unique<pqxx::nontransaction>(*connection);
}

void carry_out(const std::string& command) {
  if (command == "version") {
    answer_version("libpqxx " PQXX_VERSION);
    return;
  }
  if (command == "connect")
    open_connection();
  else if (command == "begin")
    statements->exec("BEGIN");
  else if (command == "query")
    statements->exec("SELECT 1");
  else if (command == "hold")
    statements->exec("SELECT pg_sleep(3600)");
  else {
    answer_unsupported();
    return;
  }
  answer_ok();
}

}  // namespace

int main() {
  char command[64];
  while (next_command(command, sizeof command) != 0) {
    try {
      carry_out(command);
    } catch (const pqxx::broken_connection& error) {
      answer_error("broken_connection", error.what(), "");
    } catch (const pqxx::sql_error& error) {
      answer_error("sql_error", error.what(), error.sqlstate().c_str());
    } catch (const pqxx::failure& error) {
      answer_error("failure", error.what(), "");
    }
  }
}
