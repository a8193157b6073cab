// Runs SQL statements on one server, one after the other, on one connection that is kept. Apart from the probe's
// connection: neither waits for the other. Control thread only. Destroying it drops what has not ended.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "health/server_access.h"
#include "proxy/io/pg_connection.h"
#include "proxy/io/sql_answer.h"

namespace pgkeel {

class SqlRunner {
 public:
  using Done = std::function<void(Result<SqlRows, SqlError>)>;

  SqlRunner(Loop& loop, ServerAccess& access, Duration statement_timeout, std::function<void()> on_lost);

  // `done` is called once, later. `limit` counts from now and includes waiting for its turn. Nothing is sent twice.
  void run(std::string sql, Duration limit, Done done);

  // All that have not ended, before this is destroyed: whoever takes them must call them.
  [[nodiscard]] std::vector<Done> give_up();

  // Connects where it is not, so that the next statement need not wait for that.
  void warm_up(Duration limit);

 private:
  struct Job {
    std::string sql;
    Instant deadline;
    Done done;
  };

  void go_on();
  void connect(Duration limit);
  void finish_first(Result<SqlRows, SqlError> answer);

  Loop& loop_;
  ServerAccess& access_;
  Duration statement_timeout_;
  PgConnection connection_;
  std::deque<Job> jobs_;  // the first one may be under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
