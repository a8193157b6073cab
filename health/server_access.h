// How one server is reached: its numeric addresses (a name is looked up now and then, without blocking) and the session
// settings of the monitoring role. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/io/name_lookup.h"
#include "proxy/io/pg_connection.h"

namespace pgkeel {

class Loop;

class ServerAccess {
 public:
  ServerAccess(Loop& loop, HostPort server, DatabaseUser role);

  [[nodiscard]] const HostPort& server() const { return server_; }

  // What to knock at: numeric addresses, or the folder of a Unix socket. Empty until the name was looked up.
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }

  // Looks the name up (again); joins a look-up that is under way. Addresses that are known stay in use until others
  // are. One caller waits at a time: an older `done` is dropped. It is called later; at once where there is no name.
  void look_up(std::function<void(Result<void>)> done);

  // Reads the password file, so that a changed password is used at the next connect. An error: it can't be read.
  [[nodiscard]] Result<PgSettings> settings(Duration statement_timeout) const;

 private:
  [[nodiscard]] bool is_name() const;

  Loop& loop_;
  HostPort server_;
  DatabaseUser role_;
  std::vector<std::string> addresses_;
  std::unique_ptr<NameLookup> lookup_;  // while one is under way
  std::function<void(Result<void>)> waiting_;
};

}  // namespace pgkeel
