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

  // Asked right before a statement is sent, when its connection is there. An error: it is not, and ends with that.
  using MaySend = std::function<Result<void>()>;

  SqlRunner(Loop& loop, ServerAccess& access, std::string session_name, Duration statement_timeout,
            std::function<void()> on_lost);

  // The application_name of its session: each statement that is sent from now on is sent under this one.
  void set_session_name(const std::string& name);

  // `done` is called once, later. `limit` counts from now and includes waiting for its turn. Nothing is sent twice.
  void run(std::string sql, Duration limit, Done done, MaySend may_send = nullptr);

  // All that have not ended: whoever takes them must call them. If there is one, the connection is closed.
  [[nodiscard]] std::vector<Done> give_up();

  // Connects where it is not, so that the next statement need not wait for that.
  void warm_up(Duration limit);

 private:
  struct Job {
    std::string sql;
    Instant deadline;
    Done done;
    MaySend may_send;
  };

  void go_on();
  void drop_other_name();
  void connect(Duration limit);
  void finish_first(Result<SqlRows, SqlError> answer);

  Loop& loop_;
  ServerAccess& access_;
  std::string session_name_;
  std::string connected_as_;
  Duration statement_timeout_;
  PgConnection connection_;
  std::deque<Job> jobs_;  // the first one may be under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
