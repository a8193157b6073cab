// What libpq tells of a server's last words, and how SqlConnection keeps them: tests of failovers rely on it.
#include "tests/support/sql_connection.h"

#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "proxy/io/blocking_sql.h"
#include "tests/support/peer.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

Peer accept_startup(PeerListener& listener) {
  Peer server = listener.accept();
  const std::string size = server.receive(4);
  server.receive(static_cast<std::size_t>(static_cast<unsigned char>(size[3])) - 4);
  return server;
}

// Logs a client in, answers its first statement with `first_answer`, reads the second one, answers that with
// `second_answer`, and closes in order.
void serve(PeerListener& listener, const std::string& first_answer, const std::string& second_answer) {
  Peer server = accept_startup(listener);
  server.send(login_answer());
  server.receive_message();
  server.send(first_answer);
  server.receive_message();
  if (!second_answer.empty()) server.send(second_answer);
  server.finish_sending();
  server.receive_to_end();
}

std::string conninfo_of(const PeerListener& listener) {
  return "host=127.0.0.1 port=" + std::to_string(listener.port()) +
         " user=alice dbname=d sslmode=disable gssencmode=disable";
}

SqlError error_of_second_statement(const std::string& first_answer, const std::string& second_answer) {
  PeerListener listener;
  std::thread server([&] { serve(listener, first_answer, second_answer); });
  SqlError error("no error", "");
  {
    SqlConnection client(conninfo_of(listener));
    client.query("SELECT 1");
    try {
      client.query("SELECT 2");
    } catch (const SqlError& said) {
      error = said;
    }
  }
  server.join();
  return error;
}

const std::string kDone = command_complete("SELECT 0") + ready_for_query('I');
const std::string kFatal = report('E', "FATAL", "57P01", "terminating connection");

}  // namespace

TEST_CASE("an error that answers a statement is the statement's") {
  const SqlError error = error_of_second_statement(kDone, kFatal);
  CHECK(error.sqlstate == "57P01");
  CHECK(error.notice_sqlstate.empty());
}

TEST_CASE("an error in one piece with the end of the statement before reaches only libpq's notice receiver") {
  const SqlError error = error_of_second_statement(kDone + kFatal, "");
  CHECK(error.sqlstate.empty());
  CHECK(error.notice_sqlstate == "57P01");
}

TEST_CASE("an error in one piece with the end of the login too") {
  PeerListener listener;
  std::thread serving([&] {
    Peer server = accept_startup(listener);
    server.send(login_answer() + kFatal);
    server.finish_sending();
    server.receive_to_end();
  });
  {
    SqlConnection client(conninfo_of(listener));
    try {
      client.query("SELECT 1");
      FAIL("no error");
    } catch (const SqlError& error) {
      CHECK(error.sqlstate.empty());
      CHECK(error.notice_sqlstate == "57P01");
    }
  }
  serving.join();
}

TEST_CASE("a link that ends without a word leaves no SQLSTATE at all") {
  const SqlError error = error_of_second_statement(kDone, "");
  CHECK(error.sqlstate.empty());
  CHECK(error.notice_sqlstate.empty());
}

TEST_CASE("the demo's clients and the checks tell such an error as the reason of the broken link") {
  PeerListener listener;
  std::thread server([&] { serve(listener, kDone + kFatal, ""); });
  {
    auto client = pgkeel::BlockingSql::connect(conninfo_of(listener));
    REQUIRE(client);
    CHECK(client->run("SELECT 1"));
    const auto second = client->run("SELECT 2");
    REQUIRE_FALSE(second);
    CHECK(second.error().sqlstate == "57P01");
    CHECK(second.error().message == "terminating connection");
  }
  server.join();
}
