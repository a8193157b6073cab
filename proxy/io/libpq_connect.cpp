#include "proxy/io/libpq_connect.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <poll.h>
#include <string_view>

#include <libpq-fe.h>

#include "proxy/base/time.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

// nullopt: for ever, as libpq has it.
std::optional<Duration> connect_timeout_of(PGconn* link) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfo(link), PQconninfoFree);
  for (const auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) != "connect_timeout" || option->val == nullptr) continue;
    const long seconds = std::strtol(option->val, nullptr, 10);
    if (seconds > 0) return std::chrono::seconds(seconds);
  }
  return std::nullopt;
}

// False where `deadline` passed.
bool wait_for_socket(int descriptor, short events, std::optional<Instant> deadline) {
  pollfd socket{descriptor, events, 0};
  while (true) {
    int milliseconds = -1;
    if (deadline) {
      const auto left = to_milliseconds(*deadline - monotonic_now()) + 1;
      milliseconds = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }
    const int ready = ::poll(&socket, 1, milliseconds);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;  // libpq tells what is wrong with it
    if (deadline && monotonic_now() >= *deadline) return false;
  }
}

}  // namespace

void LibpqCloser::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

Result<LibpqConnection> libpq_connect(const std::string& conninfo, LibpqNoticeReceiver receiver, void* argument) {
  LibpqConnection connection(PQconnectStart(conninfo.c_str()));
  PGconn* link = connection.get();
  if (link == nullptr) return Error{"out of memory"};
  if (PQstatus(link) == CONNECTION_BAD) return Error{PQerrorMessage(link)};
  PQsetNoticeReceiver(link, receiver, argument);
  std::optional<Instant> deadline;
  if (const auto limit = connect_timeout_of(link)) deadline = monotonic_now() + *limit;
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted == PGRES_POLLING_WRITING || wanted == PGRES_POLLING_READING) {
    if (!wait_for_socket(PQsocket(link), wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
      return Error{"connection to the server failed: timeout expired"};
    }
    wanted = PQconnectPoll(link);
  }
  if (wanted != PGRES_POLLING_OK) return Error{PQerrorMessage(link)};
  return connection;
}

}  // namespace pgkeel
