#include "tests/chaos/workload.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <poll.h>

#include <libpq-fe.h>

#include "proxy/io/clock.h"
#include "tests/support/sql_connection.h"
#include "tests/support/wait_until.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;
using test::SqlConnection;
using test::SqlError;

constexpr unsigned kNumberBits = 40;  // of a row's id, below the writer's number

constexpr Duration kPatience = 300ms;
constexpr const char* kQueryCanceled = "57014";

// Before each of the server's messages that a login by SCRAM waits for: as many as make it longer than an address that
// leaves in order takes where nobody is logging in, and well below what such a login is given.
constexpr Duration kSlowMessage = 50ms;
constexpr const char* kSlowPassword = "takes its time";
constexpr int kSlowLoginLimitMs = 20000;

// Logs in and leaves. Why it could not; empty: it could.
std::string log_in_slowly(const std::string& conninfo) {
  const LibpqConnection connection(PQconnectStart(conninfo.c_str()));
  // What a session hears right behind its login is no failure of that.
  PQsetNoticeReceiver(
      connection.get(), [](void*, const PGresult*) {}, nullptr);
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
    if (next == PGRES_POLLING_FAILED) return PQerrorMessage(connection.get());
    const auto awaited = static_cast<short>(next == PGRES_POLLING_READING ? POLLIN : POLLOUT);
    pollfd link{.fd = PQsocket(connection.get()), .events = awaited, .revents = 0};
    if (poll(&link, 1, kSlowLoginLimitMs) <= 0) return "no answer";
    if (next == PGRES_POLLING_READING) std::this_thread::sleep_for(kSlowMessage);
    next = PQconnectPoll(connection.get());
  }
  return {};
}

}  // namespace

Workload::Workload(const Network& network, const std::string& host, std::vector<std::string> conninfos,
                   std::size_t writers, bool some_impatient)
    : network_(network), host_(host), conninfos_(std::move(conninfos)), some_impatient_(some_impatient) {
  {
    const Network::Visit at_host = network_.visit(host_);
    SqlConnection(conninfos_.front())
        .query(
            "CREATE TABLE written (id bigint PRIMARY KEY, round integer NOT NULL,"
            " executed_at timestamptz NOT NULL DEFAULT clock_timestamp());"
            "SET password_encryption = 'scram-sha-256'; CREATE ROLE " +
            std::string(kSlowRole) + " LOGIN PASSWORD '" + kSlowPassword + "'");
  }
  for (std::uint64_t writer = 1; writer <= writers; ++writer) {
    threads_.emplace_back([this, writer] { write(writer); });
  }
  threads_.emplace_back([this] { connect_again_and_again(); });
  threads_.emplace_back([this] { log_in_slowly_again_and_again(); });
}

Workload::~Workload() {
  stop();
}

void Workload::stop() {
  stopping_ = true;
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workload::write(std::uint64_t writer) {
  const Network::Visit at_host = network_.visit(host_);
  const std::string& conninfo = conninfos_.at(writer % conninfos_.size());
  std::uint64_t id = writer << kNumberBits;
  while (!stopping_) {
    try {
      write_on_one_connection(conninfo, id);
    } catch (const SqlError&) {
      note_error("connect");
      std::this_thread::sleep_for(50ms);  // as a pool would, rather than to hammer
    }
  }
}

void Workload::write_on_one_connection(const std::string& conninfo, std::uint64_t& id) {
  SqlConnection connection(conninfo);
  const std::string through = PQhost(connection.handle());
  const bool is_odd = ((id >> kNumberBits) & 1U) == 1;
  if (some_impatient_ && is_odd) connection.cancel_after(kPatience);
  while (!stopping_) {
    Acknowledgement row;
    row.id = ++id;  // never used again: its fate may stay unknown
    row.round = round_;
    row.client = static_cast<std::uint32_t>(id >> kNumberBits);
    row.began = monotonic_now();
    {
      const std::lock_guard lock(mutex_);
      attempts_.push_back({row.id, through, row.began});
    }
    try {
      row.taken_by = connection.value("INSERT INTO written (id, round) VALUES (" + std::to_string(row.id) + ", " +
                                      std::to_string(row.round) + ") RETURNING " + kTakenBy);
    } catch (const SqlError& error) {
      note_error(error.sqlstate.empty() ? error.notice_sqlstate : error.sqlstate);
      if (error.sqlstate == kQueryCanceled) continue;
      return;
    }
    row.acknowledged = monotonic_now();
    {
      const std::lock_guard lock(mutex_);
      history_.push_back(std::move(row));
    }
    std::this_thread::sleep_for(2ms);
  }
}

void Workload::connect_again_and_again() {
  const Network::Visit at_host = network_.visit(host_);
  while (!stopping_) {
    std::string failure;
    std::unique_ptr<SqlConnection> connection;
    try {
      connection = std::make_unique<SqlConnection>(conninfos_.front());
    } catch (const SqlError& error) {
      failure = error.what();
    }
    // What becomes of its session is as with the writers.
    if (connection) {
      try {
        connection->query("SELECT 1");
      } catch (const SqlError& error) {
        note_error(error.sqlstate.empty() ? error.notice_sqlstate : error.sqlstate);
      }
    }
    note_connect(failure);
    std::this_thread::sleep_for(10ms);
  }
}

void Workload::log_in_slowly_again_and_again() {
  const Network::Visit at_host = network_.visit(host_);
  const std::string conninfo = conninfos_.front() + " user=" + kSlowRole + " password='" + kSlowPassword + "'";
  while (!stopping_) {
    note_connect(log_in_slowly(conninfo));
    std::this_thread::sleep_for(10ms);
  }
}

void Workload::note_connect(const std::string& failure) {
  const std::lock_guard lock(mutex_);
  ++(failure.empty() ? connects_.done : connects_.failed);
  if (!failure.empty()) connects_.last_failure = failure;
}

void Workload::note_error(const std::string& kind) {
  const std::lock_guard lock(mutex_);
  ++errors_[kind];
}

std::size_t Workload::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return history_.size();
}

History Workload::history() const {
  const std::lock_guard lock(mutex_);
  return history_;
}

History Workload::history_of(std::uint32_t round) const {
  const std::lock_guard lock(mutex_);
  History rows;
  std::ranges::copy_if(history_, std::back_inserter(rows),
                       [&](const Acknowledgement& row) { return row.round == round; });
  return rows;
}

bool Workload::wait_for_more(std::size_t rows, Duration limit) const {
  const std::size_t goal = acknowledged() + rows;
  return test::wait_until([&] { return acknowledged() >= goal; }, limit);
}

std::map<std::string, std::size_t> Workload::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

std::vector<Attempt> Workload::attempts() const {
  const std::lock_guard lock(mutex_);
  return attempts_;
}

Workload::Connects Workload::connects() const {
  const std::lock_guard lock(mutex_);
  return connects_;
}

}  // namespace pgkeel::chaos
