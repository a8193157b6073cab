// libpq's PQconnectdb() with a receiver of notices from the first byte on. A server that ends a session in one piece
// with its login is heard by the notice receiver alone (pqParseInput3 reads on behind ReadyForQuery, and finds itself
// idle): with one that is set when PQconnectdb() is over, its last words would go to stderr. Blocks; any thread.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/result.h"

struct pg_conn;
struct pg_result;

namespace pgkeel {

struct LibpqCloser {
  void operator()(pg_conn* connection) const;
};
using LibpqConnection = std::unique_ptr<pg_conn, LibpqCloser>;

using LibpqNoticeReceiver = void (*)(void* argument, const pg_result* notice);

// `conninfo` as libpq takes it; its connect_timeout is for all addresses together. `receiver` gets `argument`, which
// outlives the connection. An error in libpq's words where the login failed.
Result<LibpqConnection> libpq_connect(const std::string& conninfo, LibpqNoticeReceiver receiver, void* argument);

}  // namespace pgkeel
