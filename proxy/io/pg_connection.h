// A connection to a PostgreSQL server: libpq, never blocking. One thing at a time: connect, then queries one after the
// other. Loop's thread only.
//
// Every `done` is called exactly once, later, never from inside the call that it was given to. Destroying the
// connection (also inside a callback) closes it and drops what was under way, whose `done` is then not called.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/socket.h"
#include "proxy/io/sql_answer.h"

namespace pgkeel {

class Loop;

struct PgSettings {
  HostPort address;                      // as configured
  std::vector<SocketAddress> addresses;  // what it resolved to, tried in order: nothing is looked up in here
  std::string user;
  std::string database;
  std::string password;             // empty: none
  std::string sslmode = "disable";  // libpq's
  std::string sslrootcert = {};     // empty: libpq's default
  std::string application_name = "pgkeel";
  std::vector<std::pair<std::string, std::string>> parameters;  // run-time parameters of the session
};

class PgConnection {
 public:
  // `on_lost`: the idle connection broke, or the server closed it. Not called for what a `done` tells.
  PgConnection(Loop& loop, std::function<void()> on_lost);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  enum class State { kClosed, kConnecting, kIdle, kBusy };
  [[nodiscard]] State state() const { return state_; }

  // Only when closed.
  void connect(const PgSettings& settings, Duration limit, std::function<void(Result<void, SqlError>)> done);

  // Only when idle. Statements may be separated by ';': the last one's rows count. After a failure the connection is
  // idle if the server only said no, closed if the link broke or the time was over.
  void query(const std::string& sql, Duration limit, std::function<void(Result<SqlRows, SqlError>)> done);

  // Whether a statement left a transaction open. Only when idle.
  [[nodiscard]] bool in_transaction() const;

  // Drops what is under way.
  void close();

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
  State state_ = State::kClosed;
};

// "FATAL:  57P03: the database system is starting up" in libpq's verbose text of a failed connect, taken apart; the
// whole text on one line where no server spoke. libpq offers no other way to a connect's SQLSTATE.
SqlError parse_connect_error(const std::string& verbose_text);

}  // namespace pgkeel
