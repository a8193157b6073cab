#include "proxy/io/pg_connection.h"

#include <algorithm>
#include <cassert>
#include <netdb.h>
#include <optional>
#include <string_view>
#include <sys/socket.h>

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "proxy/io/fd_watch.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"

namespace pgkeel {
namespace {

struct ResultCloser {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ResultCloser>;

// libpq's own explanations ("\tThis probably means …") are left out.
std::string one_line(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty() || part.front() == '\t') continue;
    if (!line.empty()) line += "; ";
    line += part;
  }
  return line;
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char character) {
           return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z');
         });
}

// A value inside `options`: blanks and backslashes are escaped for the server's splitting of it.
std::string option_value(std::string_view value) {
  std::string escaped;
  for (const char character : value) {
    if (character == ' ' || character == '\\') escaped += '\\';
    escaped += character;
  }
  return escaped;
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

std::string numeric_text(const SocketAddress& address) {
  char text[NI_MAXHOST];  // with the scope of a link-local one
  const auto* storage = reinterpret_cast<const sockaddr*>(&address.storage);
  return getnameinfo(storage, address.size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

SqlRows rows_of(const PGresult* result) {
  SqlRows answer;
  for (int row = 0; row < PQntuples(result); ++row) {
    auto& values = answer.rows.emplace_back();
    for (int column = 0; column < PQnfields(result); ++column) {
      if (PQgetisnull(result, row, column) != 0) {
        values.emplace_back(std::nullopt);
      } else {
        char* value = PQgetvalue(result, row, column);
        const auto size = static_cast<std::size_t>(PQgetlength(result, row, column));
        values.emplace_back(std::string(value, size));
        OPENSSL_cleanse(value, size);  // it may be what is stored of a password
      }
    }
  }
  return answer;
}

}  // namespace

SqlError parse_connect_error(const std::string& verbose_text) {
  const std::string_view text = verbose_text;
  for (std::size_t at = text.find(":  "); at != std::string_view::npos; at = text.find(":  ", at + 1)) {
    const auto code = text.substr(at + 3, 5);
    if (!is_sqlstate(code) || text.substr(at + 8, 2) != ": ") continue;
    const auto message = text.substr(at + 10);
    return {std::string(code), one_line(message.substr(0, message.find('\n')))};
  }
  return {"", one_line(text)};
}

struct PgConnection::Inner {
  Inner(Loop& event_loop, State& owner_state, std::function<void()> lost)
      : loop(event_loop),
        state(owner_state),
        on_lost(std::move(lost)),
        deadline(event_loop, [this] { time_is_over(); }) {}

  ~Inner() { drop_link(); }

  Loop& loop;
  State& state;
  std::function<void()> on_lost;
  PGconn* link = nullptr;
  std::unique_ptr<FdWatch> watch;  // always destroyed before libpq may close its descriptor
  Timer deadline;
  Duration limit{};
  bool input_read = false;  // since the limit passed
  std::function<void(Result<void, SqlError>)> connect_done;
  std::function<void(Result<SqlRows, SqlError>)> query_done;
  SqlRows rows;
  std::optional<SqlError> error;
  bool fatal = false;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // for what is deferred; renewed by close()

  void drop_link() {
    watch.reset();
    deadline.stop();
    if (link != nullptr) PQfinish(link);
    link = nullptr;
    state = State::kClosed;
  }

  void watch_for(FdInterest interest) {
    if (!watch) watch = std::make_unique<FdWatch>(loop, PQsocket(link), [this](FdInterest) { ready(); });
    watch->set_interest(interest);
  }

  void ready() {
    switch (state) {
      case State::kConnecting:
        return poll_connect();
      case State::kBusy:
        return poll_query();
      case State::kIdle:
        return poll_idle();
      case State::kClosed:
        return;
    }
  }

  void time_is_over() {
    // The loop runs timers before it reads: an answer that is here gets its chance.
    if (!std::exchange(input_read, true)) return deadline.start_once(std::chrono::milliseconds(1));
    fail({"", "no answer within " + format_duration(limit)});
  }

  void begin_limit(Duration duration) {
    limit = duration;
    input_read = false;
    deadline.start_once(limit);
  }

  // The link is of no use any more. Last thing that a callback of ours does: `done` may destroy us.
  void fail(SqlError reason) {
    drop_link();
    if (connect_done) {
      const auto done = std::exchange(connect_done, nullptr);
      done(std::move(reason));
    } else if (query_done) {
      const auto done = std::exchange(query_done, nullptr);
      done(std::move(reason));
    } else {
      const auto lost = on_lost;
      lost();
    }
  }

  void fail_later(SqlError reason) {
    watch.reset();
    deadline.stop();
    loop.defer([this, reason = std::move(reason), token = std::weak_ptr(alive)]() mutable {
      if (!token.expired()) fail(std::move(reason));
    });
  }

  void begin_connect(const PgSettings& settings) {
    // libpq takes addresses as text, and as many host names beside them.
    std::string hosts;
    std::string numeric;
    for (const auto& address : settings.addresses) {
      if (address.is_unix()) continue;
      if (!numeric.empty()) {
        numeric += ',';
        hosts += ',';
      }
      numeric += numeric_text(address);
      hosts += settings.address.host;
    }
    const bool is_unix = settings.address.host.starts_with('/');
    if (is_unix) hosts = settings.address.host;
    if (numeric.empty() && !is_unix) return fail_later({"", settings.address.host + " has no address"});
    std::string options;
    for (const auto& [name, value] : settings.parameters) {
      options += (options.empty() ? "-c " : " -c ") + name + "=" + option_value(value);
    }
    const std::string port = std::to_string(settings.address.port);
    std::vector<std::pair<const char*, const char*>> pairs{
        {"host", hosts.c_str()},
        {"port", port.c_str()},
        {"user", settings.user.c_str()},
        {"dbname", settings.database.c_str()},
        {"application_name", settings.application_name.c_str()},
        {"client_encoding", "UTF8"},
        {"options", options.c_str()},
        {"sslmode", settings.sslmode.c_str()},
        {"gssencmode", "disable"},
        {"target_session_attrs", "any"},
        {"keepalives", "1"},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "2"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "10000"},
    };
    if (!numeric.empty()) pairs.emplace_back("hostaddr", numeric.c_str());
    if (!settings.sslrootcert.empty()) pairs.emplace_back("sslrootcert", settings.sslrootcert.c_str());
    if (!settings.password.empty()) pairs.emplace_back("password", settings.password.c_str());
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [keyword, value] : pairs) {
      keywords.push_back(keyword);
      values.push_back(value);
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);

    link = PQconnectStartParams(keywords.data(), values.data(), 0);
    if (link == nullptr) return fail_later({"", "out of memory"});
    PQsetErrorVerbosity(link, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(
        link, [](void*, const PGresult*) {}, nullptr);
    if (PQstatus(link) == CONNECTION_BAD) return fail_later(parse_connect_error(PQerrorMessage(link)));
    watch_for({.writable = true});
  }

  // Bytes of the server wait to be read: what fails now fails on them. A link that broke has none, or its end.
  [[nodiscard]] bool server_speaks() const {
    char byte = 0;
    return ::recv(PQsocket(link), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  void poll_connect() {
    watch.reset();  // PQconnectPoll may go on with another socket, even one of the same number
    const bool server_spoke = server_speaks();
    switch (PQconnectPoll(link)) {
      case PGRES_POLLING_READING:
        return watch_for({.readable = true});
      case PGRES_POLLING_WRITING:
        return watch_for({.writable = true});
      case PGRES_POLLING_OK:
        break;
      default: {
        SqlError reason = parse_connect_error(PQerrorMessage(link));
        reason.server_spoke = server_spoke;
        return fail(std::move(reason));
      }
    }
    if (PQsetnonblocking(link, 1) != 0) return fail({"", one_line(PQerrorMessage(link))});
    deadline.stop();
    state = State::kIdle;
    watch_for({.readable = true});
    const auto done = std::exchange(connect_done, nullptr);
    done({});
  }

  void begin_query(const std::string& sql) {
    rows = {};
    error.reset();
    fatal = false;
    if (PQsendQuery(link, sql.c_str()) == 0) return fail_later({"", one_line(PQerrorMessage(link))});
    if (!flush()) fail_later({"", one_line(PQerrorMessage(link))});
  }

  // False: the link broke.
  bool flush() {
    const int left = PQflush(link);
    if (left < 0) return false;
    watch_for({.readable = true, .writable = left > 0});
    return true;
  }

  void poll_query() {
    const bool link_broke = PQconsumeInput(link) == 0;
    if (link_broke) watch.reset();  // libpq has closed its descriptor
    while (link_broke || PQisBusy(link) == 0) {
      const ResultHandle result(PQgetResult(link));  // never waits: the answer is here, or the link is gone
      if (!result) {
        if (link_broke || fatal || PQstatus(link) == CONNECTION_BAD) {
          return fail(error.value_or(SqlError{"", one_line(PQerrorMessage(link))}));
        }
        return answered();
      }
      if (!take(result.get())) return fail({"", "COPY is not possible here"});
    }
    if (!flush()) fail({"", one_line(PQerrorMessage(link))});
  }

  // False: an answer that can't be taken.
  bool take(const PGresult* result) {
    switch (PQresultStatus(result)) {
      case PGRES_TUPLES_OK:
        rows = rows_of(result);
        return true;
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        rows = {};
        return true;
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        return false;
      default: {
        const auto severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
        if (severity == "FATAL" || severity == "PANIC") fatal = true;
        if (error && !error->sqlstate.empty()) return true;  // what follows is libpq's word on the broken link
        const auto primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
        error = SqlError{field(result, PG_DIAG_SQLSTATE),
                         one_line(primary.empty() ? PQresultErrorMessage(result) : primary)};
        return true;
      }
    }
  }

  void answered() {
    deadline.stop();
    state = State::kIdle;
    watch_for({.readable = true});
    const auto done = std::exchange(query_done, nullptr);
    if (error) {
      done(*std::exchange(error, std::nullopt));
    } else {
      done(std::exchange(rows, {}));
    }
  }

  void poll_idle() {
    if (PQconsumeInput(link) == 0) {
      watch.reset();
      return fail({});
    }
    PQisBusy(link);  // parses, and so drops, what the server said unasked
    while (PGnotify* notify = PQnotifies(link)) PQfreemem(notify);
  }
};

PgConnection::PgConnection(Loop& loop, std::function<void()> on_lost)
    : inner_(std::make_unique<Inner>(loop, state_, std::move(on_lost))) {}

PgConnection::~PgConnection() = default;

void PgConnection::connect(const PgSettings& settings, Duration limit,
                           std::function<void(Result<void, SqlError>)> done) {
  assert(state_ == State::kClosed);
  inner_->connect_done = std::move(done);
  inner_->begin_limit(limit);
  state_ = State::kConnecting;
  inner_->begin_connect(settings);
}

void PgConnection::query(const std::string& sql, Duration limit, std::function<void(Result<SqlRows, SqlError>)> done) {
  assert(state_ == State::kIdle);
  inner_->query_done = std::move(done);
  inner_->begin_limit(limit);
  state_ = State::kBusy;
  inner_->begin_query(sql);
}

bool PgConnection::in_transaction() const {
  assert(state_ == State::kIdle);
  return PQtransactionStatus(inner_->link) != PQTRANS_IDLE;
}

void PgConnection::close() {
  inner_->alive = std::make_shared<bool>(true);
  inner_->connect_done = nullptr;
  inner_->query_done = nullptr;
  inner_->drop_link();
}

}  // namespace pgkeel
