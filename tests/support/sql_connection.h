// A blocking libpq connection for tests. One thread.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

struct pg_conn;

namespace pgkeel::test {

// What libpq or the server said. `sqlstate` is empty where the server did not speak.
struct SqlError : std::runtime_error {
  SqlError(const std::string& message, std::string state) : std::runtime_error(message), sqlstate(std::move(state)) {}
  std::string sqlstate;
};

// Rows of text; null is nullopt.
using Rows = std::vector<std::vector<std::optional<std::string>>>;

class SqlConnection {
 public:
  explicit SqlConnection(const std::string& conninfo);  // throws SqlError
  ~SqlConnection();

  Rows query(const std::string& sql);         // the last statement's rows; throws SqlError
  std::string value(const std::string& sql);  // first column of the first row, "" where it is null or absent
  [[nodiscard]] pg_conn* handle() const { return connection_.get(); }  // for whatever these calls lack

 private:
  struct Closer {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, Closer> connection_;
};

}  // namespace pgkeel::test
