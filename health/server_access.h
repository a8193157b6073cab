// How one server is reached: its numeric addresses (a name is looked up now and then, without blocking) and the session
// settings of the monitoring role. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/io/pg_connection.h"
#include "proxy/io/resolver.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class Loop;

class ServerAccess {
 public:
  ServerAccess(Loop& loop, HostPort server, DatabaseUser role, ServerTlsConfig tls);

  [[nodiscard]] const HostPort& server() const { return server_; }

  // Empty until the name was looked up.
  [[nodiscard]] const std::vector<SocketAddress>& addresses() const { return addresses_; }

  // Looks the name up (again), if it is one. Addresses that are known stay in use until others are. `done` is called
  // later; one caller waits at a time, an older `done` is dropped.
  void look_up(std::function<void(Result<void>)> done);

  // Reads the password file, so that a changed password is used at the next connect. An error: it can't be read.
  // `session_name`: its application_name.
  [[nodiscard]] Result<PgSettings> settings(Duration statement_timeout, const std::string& session_name) const;

 private:
  void tell(const Result<void>& found);

  Loop& loop_;
  HostPort server_;
  DatabaseUser role_;
  ServerTlsConfig tls_;
  bool is_name_;
  std::vector<SocketAddress> addresses_;
  Resolver resolver_;
  Resolver::Request request_;
  std::function<void(Result<void>)> waiting_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
