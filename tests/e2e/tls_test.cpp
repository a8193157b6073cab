// TLS on either side of the access point, with real servers and libpq: who gets in, by which authentication, and what a
// failover and new certificates look like from inside of TLS.
#include <csignal>
#include <fstream>
#include <utility>

#include <libpq-fe.h>

#include "proxy/io/certificates.h"
#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "tests/e2e/config_file.h"
#include "tests/e2e/single_fixture.h"
#include "tests/support/sql_connection.h"
#include "tests/support/test_certificates.h"
#include "tests/support/writers.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

const TestCertificates& certificates() {
  static const TemporaryFolder folder;
  static const TestCertificates made(folder.path());
  return made;
}

// Certificates of the servers are others than the one that clients see.
const std::pair<std::string, std::string>& server_certificate() {
  static const std::pair<std::string, std::string> files = [] {
    const std::string folder = certificates().cert.substr(0, certificates().cert.rfind('/'));
    std::pair<std::string, std::string> made(folder + "/server.crt", folder + "/server.key");
    certificates().write_server(made.first, made.second, {"127.0.0.1"});
    return made;
  }();
  return files;
}

std::string client_tls(const std::string& mode) {
  return "client_tls = { mode = \"" + mode + "\", cert = \"" + certificates().cert + "\", key = \"" +
         certificates().key + "\"" +
         (mode == "verify-client" ? ", client_ca = \"" + certificates().ca + "\"" : std::string()) + " }";
}

std::string server_tls(const std::string& mode) {
  return "server_tls = { mode = \"" + mode + "\"" +
         (mode.starts_with("verify") ? ", ca = \"" + certificates().ca + "\"" : std::string()) + " }";
}

std::vector<std::string> ssl_settings() {
  return {"ssl = on", "ssl_cert_file = '" + server_certificate().first + "'",
          "ssl_key_file = '" + server_certificate().second + "'"};
}

// Each user is named after how it is authenticated.
const std::vector<std::string> kHba = {
    "local all all trust",    R"(host all scram,absent,"it's \ me" all scram-sha-256)",
    "host all md5 all md5",   "host all clear all password",
    "host all all all trust", "host replication all all trust"};

constexpr const char* kUsers =
    "CREATE ROLE scram LOGIN PASSWORD 'right';"
    "SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 'right';"
    "CREATE ROLE clear LOGIN PASSWORD 'right'; CREATE ROLE trusted LOGIN";

struct Encrypted : Single {
  Encrypted(const std::string& client_mode, const std::string& server_mode, std::vector<std::string> more_lines = {})
      : Single({.settings = ssl_settings(), .hba_lines = kHba}, options(client_mode, server_mode, more_lines)) {
    server->query(kUsers);
  }

  static PgkeelOptions options(const std::string& client_mode, const std::string& server_mode,
                               std::vector<std::string> lines) {
    lines.push_back(client_tls(client_mode));
    if (!server_mode.empty()) lines.push_back(server_tls(server_mode));
    return {.cluster_lines = std::move(lines)};
  }
};

std::string conninfo_of(std::uint16_t port, const std::string& user, const std::string& password,
                        const std::string& more) {
  return "host=127.0.0.1 dbname=postgres port=" + std::to_string(port) + " user=" + user + " password=" + password +
         " " + more;
}

std::string verify_full() {
  return "sslmode=verify-full sslrootcert=" + certificates().ca;
}

// What the connect failed with, empty where it did not.
std::string connect_error(std::uint16_t port, const std::string& user, const std::string& password,
                          const std::string& more) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
      PQconnectdb(conninfo_of(port, user, password, more).c_str()), PQfinish);
  if (PQstatus(connection.get()) == CONNECTION_OK) return {};
  std::string message = PQerrorMessage(connection.get());
  const std::string number = std::to_string(port);
  for (auto at = message.find(number); at != std::string::npos; at = message.find(number))
    message.replace(at, number.size(), "PORT");
  return message;
}

}  // namespace

TEST_CASE("every authentication works with TLS on either side, on both, and on none") {
  for (const char* server_mode : {"disable", "verify-full"}) {
    CAPTURE(server_mode);
    const Encrypted single("allow", server_mode);
    const std::uint16_t port = single.pgkeel.port();
    const std::string server_ssl = std::string(server_mode) == "disable" ? "f" : "t";
    for (const std::string& client : {std::string("sslmode=disable"), verify_full(),
                                      verify_full() + " channel_binding=disable", std::string("sslmode=require")}) {
      CAPTURE(client);
      for (const char* user : {"trusted", "md5", "clear", "scram"}) {
        CAPTURE(user);
        SqlConnection right(conninfo_of(port, user, "right", client));
        CHECK(right.value("SELECT current_user") == user);
        CHECK(right.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == server_ssl);
        CHECK((PQsslInUse(right.handle()) == 1) == (client != "sslmode=disable"));
        if (std::string(user) == "trusted") continue;
        const std::string wrong = connect_error(port, user, "wrong", client);
        CHECK_MESSAGE(wrong.find("password authentication failed for user") != std::string::npos, wrong);
        CHECK(wrong == connect_error(single.server->port(), user, "wrong", client));
      }
      // Nobody learns from it whether there is such a user.
      const std::string absent = connect_error(port, "absent", "wrong", client);
      CHECK_MESSAGE(absent.find("password authentication failed for user") != std::string::npos, absent);
      CHECK(absent == connect_error(single.server->port(), "absent", "wrong", client));
    }
    // The client's channel is bound to the certificate that it sees.
    SqlConnection bound(conninfo_of(port, "scram", "right", verify_full() + " channel_binding=require"));
    CHECK(bound.value("SELECT current_user") == "scram");
    CHECK_FALSE(connect_error(port, "scram", "wrong", verify_full() + " channel_binding=require").empty());
    CHECK_FALSE(connect_error(port, "md5", "right", verify_full() + " channel_binding=require").empty());
  }
}

TEST_CASE("a verifier of any iteration count and salt, and a password that is changed or over") {
  const Encrypted single("require", "verify-ca");
  const std::string client = verify_full() + " channel_binding=require";
  const std::uint16_t port = single.pgkeel.port();
  for (const char* verifier : {"SCRAM-SHA-256$10000:c2FsdCBvZiBhbm90aGVyIGxlbmd0aCB0aGFuIDE2$dj4J6hWNTx86JfGG1dF/"
                               "LbiYnNiDr35SY2Wpgqx6um8=:y7va9DixdI7jLS5mw+D2FP7TeM9gBBYifiL2zizYPiA=",
                               "SCRAM-SHA-256$1:eA==$f9q9m6CU0+fTEeiOmZPZf3JYw0/"
                               "oJ443b14yvcho9G0=:pu6duEOajassoUGpwov9xZZLRkLTAhKIA5RLOVJrA+U="}) {
    CAPTURE(verifier);
    single.server->query("ALTER ROLE scram PASSWORD '" + std::string(verifier) + "'");
    CHECK(SqlConnection(conninfo_of(port, "scram", "right", client)).value("SELECT 1") == "1");
    CHECK_FALSE(connect_error(port, "scram", "wrong", client).empty());
  }
  single.server->query("ALTER ROLE scram PASSWORD 'new'");
  CHECK(SqlConnection(conninfo_of(port, "scram", "new", client)).value("SELECT 1") == "1");
  const std::string over = "password authentication failed";
  CHECK(connect_error(port, "scram", "right", client).find(over) != std::string::npos);
  single.server->query("ALTER ROLE scram VALID UNTIL '2001-01-01'");
  CHECK(connect_error(port, "scram", "new", client).find(over) != std::string::npos);
  single.server->query("ALTER ROLE scram PASSWORD NULL VALID UNTIL 'infinity'");
  CHECK(connect_error(port, "scram", "new", client).find(over) != std::string::npos);
  // A name that SQL must not take for anything else.
  single.server->query("CREATE ROLE \"it's \\ me\" LOGIN PASSWORD 'right'");
  CHECK(SqlConnection(conninfo_of(port, R"('it\'s \\ me')", "right", client)).value("SELECT 1") == "1");
  CHECK(single.pgkeel.log_text().find("SCRAM-SHA-256$") == std::string::npos);
  CHECK(single.server->log_text().find("SCRAM-SHA-256$") == std::string::npos);
}

TEST_CASE(
    "a primary that takes no TLS any more, although it lives, is no normal state, and says what is to be mended") {
  const Encrypted single("allow", "require", {"durability = \"async\""});
  const std::uint16_t port = single.pgkeel.port();
  CHECK(connect_error(port, "scram", "right", "").empty());
  const auto notes_it = [](const auto& now) {
    return now["nodes"][0]["note"].template get<std::string>().starts_with("accepts no new connections: ");
  };
  single.server->query("ALTER SYSTEM SET ssl = off");
  single.server->query("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return !connect_error(port, "scram", "right", "").empty(); }));
  REQUIRE_MESSAGE(single.pgkeel.wait_for(notes_it), single.pgkeel.describe());
  CHECK(single.pgkeel.status()["condition"] != "normal");

  const auto checked = single.pgkeel.run_verb({"check", "--live"});
  CAPTURE(checked.output);
  CHECK(checked.output.find("make `server_tls` of the configuration (mode, ca) and ssl") != std::string::npos);
  CHECK(checked.output.find("start PostgreSQL") == std::string::npos);

  single.server->query("ALTER SYSTEM SET ssl = on");
  single.server->query("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return connect_error(port, "scram", "right", "").empty(); }));
  CHECK_MESSAGE(single.pgkeel.wait_for([&](const auto& now) { return !notes_it(now); }), single.pgkeel.describe());
}

TEST_CASE("without the right to read verifiers, clients are told what is missing, and setup-sql mends it") {
  TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a", {.settings = ssl_settings(), .hba_lines = kHba});
  server->query(kUsers);
  server->query("CREATE ROLE watcher LOGIN REPLICATION; GRANT pg_monitor TO watcher");
  PgkeelProcess pgkeel(folder, {server.get()},
                       {.cluster_lines = {"monitor = { user = \"watcher\", database = \"postgres\" }",
                                          "durability = \"async\"", client_tls("allow"), server_tls("require")}});
  pgkeel.start();
  REQUIRE_MESSAGE(pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }), pgkeel.describe());
  const auto error = [&](const std::string& more) { return connect_error(pgkeel.port(), "scram", "right", more); };
  const std::string told = error("sslmode=require");
  CHECK_MESSAGE(told.find("setup-sql") != std::string::npos, told);
  CHECK(error("sslmode=require channel_binding=disable").empty());
  CHECK(error("sslmode=disable").empty());
  CHECK(error("sslmode=require channel_binding=require").find("channel binding") != std::string::npos);

  const auto script = pgkeel.run_verb({"setup-sql"});
  REQUIRE_MESSAGE(script.exit_status == 0, script.error_output);
  const auto ran =
      run_program({.arguments = {bin_directory() + "/psql", "--no-psqlrc", "--quiet", "--dbname", server->conninfo()},
                   .limit = 30s,
                   .input = script.output});
  REQUIRE(ran.has_value());
  REQUIRE_MESSAGE(ran->exit_status == 0, ran->error_output);
  CHECK(server->value("SELECT rolsuper FROM pg_roles WHERE rolname = 'watcher'") == "f");
  CHECK(error("sslmode=require").empty());
  CHECK(error("sslmode=require channel_binding=require").empty());
  CHECK_THROWS_WITH_AS(
      SqlConnection(conninfo_of(server->port(), "trusted", "", "")).query("SELECT pgkeel.scram_verifier('scram')"),
      doctest::Contains("permission denied"), SqlError);
}

TEST_CASE("client certificates, encryption that is demanded, and psql") {
  const Encrypted single("verify-client", "disable");
  const std::string certificate =
      verify_full() + " sslcert=" + certificates().client_cert + " sslkey=" + certificates().client_key;
  const std::string strange =
      verify_full() + " sslcert=" + certificates().strange_client_cert + " sslkey=" + certificates().strange_client_key;
  const std::uint16_t port = single.pgkeel.port();
  CHECK(connect_error(port, "scram", "right", certificate + " channel_binding=require").empty());
  CHECK_FALSE(connect_error(port, "scram", "right", strange).empty());
  CHECK_FALSE(connect_error(port, "scram", "right", verify_full()).empty());
  const std::string in_clear = connect_error(port, "scram", "right", "sslmode=disable");
  CHECK_MESSAGE(in_clear.find("takes encrypted connections only") != std::string::npos, in_clear);
  // As libpq tries: first with, then without.
  CHECK_FALSE(connect_error(port, "trusted", "", "sslmode=prefer sslcert=/nowhere").empty());

  const auto psql = single.run_through(
      {"psql", "--no-psqlrc", "--username", "scram", "--command", "\\conninfo"},
      {"PGPASSWORD=right", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + certificates().ca,
       "PGSSLCERT=" + certificates().client_cert, "PGSSLKEY=" + certificates().client_key, "PGCHANNELBINDING=require"});
  CHECK_MESSAGE(psql.output.find("SSL connection (protocol: TLSv1.3") != std::string::npos,
                (psql.output + psql.error_output));
}

TEST_CASE("new certificate files are used by new connections, bad ones are not, and nobody is dropped") {
  TemporaryFolder folder;
  const TestCertificates own(folder.path());
  const std::string line =
      "client_tls = { mode = \"require\", cert = \"" + own.cert + "\", key = \"" + own.key + "\" }";
  Single single({}, {.cluster_lines = {line}});
  const std::string client = "sslmode=verify-full sslrootcert=" + own.ca;
  SqlConnection session(single.pgkeel.conninfo(client));
  const auto told = [&](const std::string& text) {
    return wait_until([&] {
      for (const auto& event : single.pgkeel.events()) {
        if (event["text"].get<std::string>().find(text) != std::string::npos) return true;
      }
      return false;
    });
  };
  // With a name that it is not reached by, it can be told from the first.
  own.write_server(own.cert, own.key, {"elsewhere.example"}, 24h * 3);
  ::kill(single.pgkeel.pid(), SIGHUP);
  REQUIRE(told("the TLS files were read again"));
  CHECK_THROWS_WITH_AS(SqlConnection(single.pgkeel.conninfo(client)), doctest::Contains("does not match host name"),
                       SqlError);
  CHECK(session.value("SELECT 1") == "1");
  CHECK(told("the certificate of client_tls"));  // it ends in three days
  CHECK(single.pgkeel.metrics().find(
            "pgkeel_certificate_end_timestamp_seconds{cluster=\"test\",certificate=\"client_tls\"}") !=
        std::string::npos);
  CHECK(single.pgkeel.status()["certificates"][0]["file"] == own.cert);
  // Whom it believes, too; the last one of the file counts.
  const auto authority = [](Duration from_now_on) {
    return make_authority({wall_now() - 1h, wall_now() + from_now_on}).value().certificate_pem;
  };
  const std::string believed = folder.path() + "/believed.crt";
  const std::string told_of = "the certificate of client_tls.client_ca (" + believed + ") ends at ";
  std::ofstream(believed) << authority(24h * 3) << authority(24h * 30);
  const ConfigFile file(single.pgkeel);
  file.write(file.with_instead("mode = \"require\"", "mode = \"verify-client\", client_ca = \"" + believed + "\""));
  reload(single.pgkeel);
  CHECK(metric(single.pgkeel,
               "pgkeel_certificate_end_timestamp_seconds{cluster=\"test\",certificate=\"client_tls.client_ca\"}") > 0);
  CHECK_FALSE(has_event(single.pgkeel, told_of));
  std::ofstream(believed) << authority(24h * 3);
  reload(single.pgkeel);
  CHECK(has_event(single.pgkeel, told_of));
  file.write(file.original());
  reload(single.pgkeel);

  // A key of another certificate: without being asked, pgkeel looks, and keeps what it has.
  own.write_server(folder.path() + "/other.crt", own.key, {"127.0.0.1"});
  CHECK(told("the old ones stay in use"));
  CHECK_THROWS_WITH_AS(SqlConnection(single.pgkeel.conninfo(client)), doctest::Contains("does not match host name"),
                       SqlError);
  CHECK(session.value("SELECT 2") == "2");
}

TEST_CASE("a failover with TLS on both sides: 57P01 inside of it, and standbys that stream inside of it") {
  TemporaryFolder folder;
  // From elsewhere nobody gets in without TLS, standbys included.
  const std::vector<std::string> hba = {"local all all trust",
                                        "hostssl all,replication pgkeel_repl,pgkeel,postgres all trust",
                                        "hostssl all scram all scram-sha-256", "host all,replication all all trust"};
  const auto a = PostgresServer::primary(folder, "a", {.settings = ssl_settings(), .hba_lines = hba});
  a->query(kUsers);
  const auto b = PostgresServer::standby_of(*a, "b");
  PgkeelProcess pgkeel(folder, {a.get(), b.get()},
                       {.cluster_lines = {client_tls("require"), server_tls("verify-full")}});
  pgkeel.start();
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  const std::string client = conninfo_of(pgkeel.port(), "scram", "right", verify_full() + " channel_binding=require");
  SqlConnection idle(client);
  SqlConnection in_transaction(client);
  in_transaction.query("BEGIN");
  a->kill_tree();
  // A statement that was on its way when the server died fails in the same way.
  for (SqlConnection* session : {&idle, &in_transaction}) {
    std::string sqlstate;
    const auto has_failed = [&] {
      try {
        session->query("SELECT 1");
        return false;
      } catch (const SqlError& error) {
        sqlstate = error.sqlstate.empty() ? error.notice_sqlstate : error.sqlstate;
        return true;
      }
    };
    REQUIRE(wait_until(has_failed));
    CHECK(sqlstate == "57P01");
  }
  CHECK(SqlConnection(client).value("SELECT inet_server_port()") == std::to_string(b->port()));
  REQUIRE_MESSAGE(pgkeel.wait_normal("b"), pgkeel.describe());
  CHECK(b->wait_streams("a"));
  CHECK(b->value("SELECT bool_and(ssl) FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)") == "t");
  CHECK(a->value("SHOW primary_conninfo").find("sslmode=") != std::string::npos);
}
