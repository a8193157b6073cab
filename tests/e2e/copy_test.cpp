// A gigabyte of COPY out and in at once, byte for byte, in pgkeel's small and constant memory.
#include <fstream>
#include <stdexcept>

#include <libpq-fe.h>

#include "tests/e2e/single_fixture.h"
#include "tests/support/raw_client.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;
// AddressSanitizer keeps what was freed for a while, ThreadSanitizer remembers each access.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kGrowthMax = 512 * kMegabyte;
#else
constexpr std::size_t kGrowthMax = 64 * kMegabyte;
#endif

// VmRSS: memory now; VmHWM: the most it ever was.
std::size_t memory_of(pid_t process, const std::string& which) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(which + ":")) return std::stoul(line.substr(which.size() + 1)) * 1024;
  }
  throw std::runtime_error("no " + which);
}

// Rows of 32 bytes to 19 KB: smaller and bigger than what is passed on as a whole.
constexpr const char* kGigabyte =
    "SELECT id, repeat(md5(id::text), 1 + id % 600) AS line FROM generate_series(1, 112000) AS id";

void start_copy(SqlConnection& connection, const std::string& sql, ExecStatusType expected) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.handle(), sql.c_str()), PQclear);
  REQUIRE_MESSAGE(PQresultStatus(result.get()) == expected, PQerrorMessage(connection.handle()));
}

void finish_copy(SqlConnection& connection) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection.handle()), PQclear);
  CHECK(std::string(PQcmdStatus(result.get())) == "COPY 112000");
  PQclear(PQgetResult(connection.handle()));
}

}  // namespace

TEST_CASE("a gigabyte is copied out and in through the access point, byte for byte") {
  const Single single;
  single.server->query(
      "CREATE UNLOGGED TABLE copied (id int, line text); ALTER TABLE copied ALTER line SET STORAGE EXTERNAL");
  SqlConnection source(single.pgkeel.conninfo());
  SqlConnection sink(single.pgkeel.conninfo());
  const std::size_t before = memory_of(single.pgkeel.pid(), "VmRSS");

  start_copy(source, std::string("COPY (") + kGigabyte + ") TO STDOUT", PGRES_COPY_OUT);
  start_copy(sink, "COPY copied FROM STDIN", PGRES_COPY_IN);
  std::size_t bytes = 0;
  char* row = nullptr;
  for (int size = 0; (size = PQgetCopyData(source.handle(), &row, 0)) > 0; PQfreemem(row)) {
    bytes += static_cast<std::size_t>(size);
    REQUIRE_MESSAGE(PQputCopyData(sink.handle(), row, size) == 1, PQerrorMessage(sink.handle()));
  }
  REQUIRE(PQputCopyEnd(sink.handle(), nullptr) == 1);
  finish_copy(source);
  finish_copy(sink);
  CHECK(bytes > 1000 * kMegabyte);
  CHECK(memory_of(single.pgkeel.pid(), "VmHWM") < before + kGrowthMax);

  const auto counted = single.server->query(
      "SELECT count(*), count(DISTINCT id), bool_and(line = repeat(md5(id::text), 1 + id % 600)), min(id), max(id) "
      "FROM copied");
  CHECK(counted.front() == Rows::value_type{"112000", "112000", "t", "1", "112000"});
}

TEST_CASE("clients that do not read what they asked for hold back their servers, not pgkeel's memory") {
  const Single single;
  const std::size_t before = memory_of(single.pgkeel.pid(), "VmRSS");
  constexpr std::size_t kClients = 20;
  std::vector<RawClient> clients;
  for (std::size_t count = 0; count < kClients; ++count) {
    auto& client = clients.emplace_back(single.pgkeel.port(), RawClient::Parameters{{"application_name", "slow"}});
    REQUIRE(client.log_in().back().type == 'Z');
    client.send_query(std::string("COPY (") + kGigabyte + ") TO STDOUT");
  }
  SqlConnection observer(single.server->conninfo());
  CHECK(wait_until([&] {
    return observer.value(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slow' AND "
               "wait_event = 'ClientWrite'") == std::to_string(kClients);
  }));
  CHECK(memory_of(single.pgkeel.pid(), "VmHWM") < before + kGrowthMax);
  // It is all still to come.
  const auto messages = wire_test::split_messages(clients.front().peer().receive(100 * kMegabyte));
  REQUIRE(messages.size() > 1000);
  for (std::size_t row = 1; row + 1 < messages.size(); ++row)
    REQUIRE(messages[row].body.starts_with(std::to_string(row) + '\t'));
  // And one that leaves takes its server's session with it.
  clients.clear();
  CHECK(wait_until(
      [&] { return observer.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slow'") == "0"; }));
}
