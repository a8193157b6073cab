// A blocking connection to a PostgreSQL server, for commands that a person waits for (demo, checks); never on a loop.
// One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"

namespace pgkeel {

class BlockingSql {
 public:
  // `conninfo` as libpq takes it.
  static Result<BlockingSql, SqlError> connect(const std::string& conninfo);

  // The same, given up after `limit`, whatever the server does or does not; only looking up a name may take longer. The
  // error has the server's SQLSTATE, where it said one.
  static Result<BlockingSql, SqlError> connect_within(const std::string& conninfo, Duration limit);

  // One or more statements; the rows of the last count. After an error without SQLSTATE the connection is gone.
  Result<SqlRows, SqlError> run(const std::string& sql);
  Result<SqlRows, SqlError> run_within(const std::string& sql, Duration limit);

  // COPY … TO STDOUT: `use` gets what is copied, piece by piece.
  Result<void, SqlError> copy_out(const std::string& sql, const std::function<void(std::string_view)>& use);

 private:
  struct Close {
    void operator()(void* connection) const;
  };
  explicit BlockingSql(void* connection) : connection_(connection) {}
  Result<SqlRows, SqlError> read_results(const std::function<bool()>& wait_for_next);

  std::unique_ptr<void, Close> connection_;
  // Why the server ended the session, where it said so in one piece with the end of the statement before: libpq hands
  // that to the notice receiver, and the next statement finds a broken link. At an address that does not change.
  std::unique_ptr<SqlError> last_words_ = std::make_unique<SqlError>();
};

}  // namespace pgkeel
