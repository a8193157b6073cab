// What a client sees when the primary crashes under it, by the state that it is in: first each message as it arrives,
// then what libpq makes of it.
#include <algorithm>
#include <csignal>
#include <functional>

#include <libpq-fe.h>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/raw_client.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

using wire_test::Heard;

constexpr const char* kNoneOpen = "No transaction was open.";
constexpr const char* kRolledBack = "The open transaction was rolled back.";
constexpr const char* kUnknown =
    "The outcome of the current statement or transaction is unknown: it may have been committed.";

// Statements that wait inside: in a COMMIT, in an INSERT, forever.
constexpr const char* kSchema = R"(
CREATE TABLE payments (id int PRIMARY KEY);
CREATE FUNCTION wait_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NULL; END $$;
CREATE TABLE slow_to_commit (id int);
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow_to_commit DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wait_for_ever();
CREATE TABLE slow_to_insert (id int);
CREATE TRIGGER at_insert AFTER INSERT ON slow_to_insert FOR EACH STATEMENT EXECUTE FUNCTION wait_for_ever();
CREATE TABLE copied (line text);
)";

constexpr const char* kBigResult = "SELECT repeat('x', 1000) FROM generate_series(1, 10000000)";
constexpr const char* kBigCopy = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT";
constexpr const char* kHugeMessage = "SELECT repeat('x', 64 * 1024 * 1024)";

// How a backend that waits for its client, or in pg_sleep, is seen in pg_stat_activity.
constexpr const char* kIdle = "state LIKE 'idle%'";
constexpr const char* kSleeps = "wait_event = 'PgSleep'";
constexpr const char* kReaderIsSlow = "wait_event = 'ClientWrite'";
constexpr const char* kWaitsForData = "state = 'active' AND wait_event = 'ClientRead'";

void require_backend(const PostgresServer& server, const std::string& application_name, const std::string& condition) {
  SqlConnection connection(server.conninfo());
  const bool seen = wait_until([&] {
    return connection.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" + application_name +
                            "' AND " + condition) == "1";
  });
  REQUIRE_MESSAGE(seen, application_name << " is not seen with " << condition);
}

std::string extended_query(const std::string& sql) {
  return wire_test::parse(sql) + wire_test::bind() + wire_test::execute();
}

struct ClientState {
  std::string name;
  std::function<void(RawClient&)> enter;
  const char* backend;  // how it is seen on the server, once it is there
  std::string detail;   // of the error; empty: a close without a word
};

const std::vector<ClientState>& client_states() {
  static const std::vector<ClientState> states = {
      {"idle", [](RawClient&) {}, kIdle, kNoneOpen},
      {"idle after a statement", [](RawClient& client) { client.query("INSERT INTO payments VALUES (1)"); }, kIdle,
       kNoneOpen},
      {"in a transaction", [](RawClient& client) { client.query("BEGIN; INSERT INTO payments VALUES (2)"); }, kIdle,
       kRolledBack},
      {"in a failed transaction",
       [](RawClient& client) {
         client.query("BEGIN");
         client.query("SELECT 1/0");
       },
       kIdle, kRolledBack},
      {"a query is running", [](RawClient& client) { client.send_query("SELECT pg_sleep(3600)"); }, kSleeps, kUnknown},
      {"an autocommit INSERT is running",
       [](RawClient& client) { client.send_query("INSERT INTO slow_to_insert VALUES (1)"); }, kSleeps, kUnknown},
      {"a statement of a transaction is running",
       [](RawClient& client) {
         client.query("BEGIN");
         client.send_query("SELECT pg_sleep(3600)");
       },
       kSleeps, kUnknown},
      {"COMMIT is in flight",
       [](RawClient& client) {
         client.query("BEGIN; INSERT INTO slow_to_commit VALUES (1)");
         client.send_query("COMMIT");
       },
       kSleeps, kUnknown},
      {"executed, not yet synchronised",
       [](RawClient& client) {
         client.send(extended_query("INSERT INTO payments VALUES (3)") + wire_test::message('H', ""));
         client.next_until('C');
       },
       kWaitsForData, kUnknown},
      {"in a pipeline",
       [](RawClient& client) {
         client.send(extended_query("SELECT 1") + wire_test::sync_message() + extended_query("SELECT pg_sleep(3600)") +
                     wire_test::sync_message() + extended_query("INSERT INTO payments VALUES (4)") +
                     wire_test::sync_message());
       },
       kSleeps, kUnknown},
      {"in a big result", [](RawClient& client) { client.send_query(kBigResult); }, kReaderIsSlow, kUnknown},
      {"in COPY OUT", [](RawClient& client) { client.send_query(kBigCopy); }, kReaderIsSlow, kUnknown},
      {"in COPY IN",
       [](RawClient& client) {
         client.send_query("COPY copied FROM STDIN");
         client.next_until('G');
         client.send(wire_test::message('d', "a line\n"));
       },
       kWaitsForData, kUnknown},
      {"in one huge message", [](RawClient& client) { client.send_query(kHugeMessage); }, kReaderIsSlow, ""},
  };
  return states;
}

void check_last_words(RawClient& client, const std::string& detail) {
  const auto messages = client.rest();
  CHECK_FALSE(client.peer().ended_by_reset());
  REQUIRE_FALSE(messages.empty());
  const Heard& last = messages.back();
  for (const auto& heard : messages) {
    if (&heard != &last) REQUIRE((heard.type != 'E' && heard.type != '?'));
  }
  if (detail.empty()) {
    CHECK(last.type == '?');
    return;
  }
  REQUIRE(last.type == 'E');
  CHECK(last.field('S') == "FATAL");
  CHECK(last.field('V') == "FATAL");
  CHECK(last.field('C') == "57P01");
  CHECK(last.field('M').starts_with("terminating connection: "));
  CHECK(last.field('D') == detail);
  CHECK(last.field('H').find("same address") != std::string::npos);
}

// ---- libpq ----

struct LibpqState {
  std::string name;
  std::function<void(PGconn*)> enter;
  const char* backend;
  std::function<void(PGconn*)> after;
};

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

std::string sqlstate_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state != nullptr ? state : "";
}

// The first result that is an error, of all that are there.
Result first_error(PGconn* connection) {
  // After a COPY, or a PIPELINE_ABORTED, results may go on for ever; an error comes long before.
  for (int count = 0; count < 1000; ++count) {
    Result result(PQgetResult(connection), PQclear);
    if (!result && PQpipelineStatus(connection) == PQ_PIPELINE_OFF) break;
    if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) return result;
    if (PQresultStatus(result.get()) == PGRES_COPY_OUT) {
      char* row = nullptr;
      while (PQgetCopyData(connection, &row, 0) > 0) PQfreemem(row);
    }
  }
  return {nullptr, PQclear};
}

bool comes_to_end(PGconn* connection) {
  return wait_until([&] {
    PQclear(PQgetResult(connection));
    return PQstatus(connection) == CONNECTION_BAD;
  });
}

void check_57p01(PGconn* connection) {
  CHECK(sqlstate_of(first_error(connection).get()) == "57P01");
  CHECK(comes_to_end(connection));
}

const std::vector<LibpqState>& libpq_states() {
  static const std::vector<LibpqState> states = {
      {"idle", [](PGconn*) {}, kIdle,
       [](PGconn* connection) {
         const Result result(PQexec(connection, "SELECT 1"), PQclear);
         CHECK(PQresultStatus(result.get()) == PGRES_FATAL_ERROR);
         const std::string state = sqlstate_of(result.get());
         CHECK((state == "57P01" || state.empty()));
         CHECK(PQstatus(connection) == CONNECTION_BAD);
       }},
      {"a query is running", [](PGconn* connection) { PQsendQuery(connection, "SELECT pg_sleep(3600)"); }, kSleeps,
       check_57p01},
      {"rows are read one by one",
       [](PGconn* connection) {
         PQsendQuery(connection, kBigResult);
         PQsetSingleRowMode(connection);
         const Result first(PQgetResult(connection), PQclear);
         CHECK(PQresultStatus(first.get()) == PGRES_SINGLE_TUPLE);
       },
       kReaderIsSlow,
       [](PGconn* connection) {
         while (const Result row{PQgetResult(connection), PQclear}) {
           if (PQresultStatus(row.get()) == PGRES_SINGLE_TUPLE) continue;
           CHECK(sqlstate_of(row.get()) == "57P01");
           break;
         }
       }},
      {"COPY OUT", [](PGconn* connection) { PQsendQuery(connection, kBigCopy); }, kReaderIsSlow, check_57p01},
      {"COPY IN",
       [](PGconn* connection) {
         const Result result(PQexec(connection, "COPY copied FROM STDIN"), PQclear);
         CHECK(PQresultStatus(result.get()) == PGRES_COPY_IN);
         PQputCopyData(connection, "a line\n", 7);
       },
       kWaitsForData,
       [](PGconn* connection) {
         PQputCopyEnd(connection, nullptr);
         check_57p01(connection);
       }},
      {"pipeline",
       [](PGconn* connection) {
         PQenterPipelineMode(connection);
         for (const char* sql : {"SELECT 1", "SELECT pg_sleep(3600)", "SELECT 2"})
           PQsendQueryParams(connection, sql, 0, nullptr, nullptr, nullptr, nullptr, 0);
         PQpipelineSync(connection);
       },
       kSleeps, check_57p01},
      {"one huge message", [](PGconn* connection) { PQsendQuery(connection, kHugeMessage); }, kReaderIsSlow,
       [](PGconn* connection) {
         const Result error = first_error(connection);
         REQUIRE(error);
         CHECK(sqlstate_of(error.get()).empty());
         CHECK(comes_to_end(connection));
       }},
  };
  return states;
}

}  // namespace

TEST_CASE("the primary crashes: each state of a client gets the error, whole and once, or a close inside a message") {
  Cluster cluster;
  const auto& primary = cluster.server("a");
  primary.query(kSchema);
  std::vector<RawClient> clients;
  for (const auto& state : client_states()) {
    CAPTURE(state.name);
    auto& client =
        clients.emplace_back(cluster.pgkeel->port(), RawClient::Parameters{{"application_name", state.name}});
    REQUIRE(client.log_in().back().type == 'Z');
    state.enter(client);
    require_backend(primary, state.name, state.backend);
  }

  cluster.server("a").kill_tree();
  for (std::size_t index = 0; index < clients.size(); ++index) {
    CAPTURE(client_states()[index].name);
    check_last_words(clients[index], client_states()[index].detail);
  }
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  const auto sessions = cluster.pgkeel->status()["sessions"];
  CHECK(sessions["closed_without_error_at_unclean_boundary"] == 1);
  CHECK(sessions["errors_by_sqlstate"]["57P01"] == client_states().size() - 1);
  const auto record = cluster.pgkeel->decisions("failover").back();
  CAPTURE(record.dump(2));
  CHECK(record["clients"]["ended_idle"] == 2);
  CHECK(record["clients"]["ended_in_transaction"] == 2);
  CHECK(record["clients"]["ended_in_commit"] == 1);
  CHECK(record["clients"]["ended_busy"] == client_states().size() - 5);
}

TEST_CASE("the primary crashes: what libpq reports of it") {
  Cluster cluster;
  const auto& primary = cluster.server("a");
  primary.query(kSchema);
  std::vector<std::unique_ptr<SqlConnection>> clients;
  for (const auto& state : libpq_states()) {
    CAPTURE(state.name);
    clients.push_back(
        std::make_unique<SqlConnection>(cluster.pgkeel->conninfo("application_name='" + state.name + "'")));
    state.enter(clients.back()->handle());
    require_backend(primary, state.name, state.backend);
  }
  cluster.server("a").kill_tree();
  for (std::size_t index = 0; index < clients.size(); ++index) {
    CAPTURE(libpq_states()[index].name);
    libpq_states()[index].after(clients[index]->handle());
    // The same address again, as the HINT says.
    PQreset(clients[index]->handle());
    CHECK(PQstatus(clients[index]->handle()) == CONNECTION_OK);
    CHECK(clients[index]->value("SELECT pg_is_in_recovery()") == "f");
  }
}

TEST_CASE("a crash of another backend, 57P02 on the server itself, is 57P01 through the access point") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a", {.settings = {"restart_after_crash = on"}});
  PgkeelProcess pgkeel(folder, {server.get()});
  pgkeel.start();
  REQUIRE_MESSAGE(pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }), pgkeel.describe());
  RawClient direct(server->port(), {{"application_name", "direct"}});
  RawClient through(pgkeel.port(), {{"application_name", "through"}});
  RawClient victim(server->port());
  direct.log_in();
  through.log_in();
  victim.log_in();
  // A backend that is still sending would go without a word.
  for (const char* client : {"direct", "through"}) require_backend(*server, client, "wait_event = 'ClientRead'");
  const auto row = victim.query("SELECT pg_backend_pid()");
  const auto data = std::ranges::find(row, 'D', &Heard::type);
  REQUIRE(data != row.end());
  ::kill(std::stoi(data->body.substr(6)), SIGKILL);

  // The server says it in a warning, and goes.
  const auto direct_words = direct.rest();
  REQUIRE(direct_words.size() == 1);
  CHECK(direct_words.front().field('C') == "57P02");
  const auto words = through.rest();
  REQUIRE(words.size() == 2);
  CHECK(words[0].type == direct_words.front().type);
  CHECK(words[0].field('C') == "57P01");
  for (const char field : {'S', 'V', 'M', 'D', 'H'}) CHECK(words[0].field(field) == direct_words.front().field(field));
  CHECK(words[1].type == 'E');
  CHECK(words[1].field('S') == "FATAL");
  CHECK(words[1].field('C') == "57P01");
  CHECK(words[1].field('D') == kNoneOpen);
}
