// Where durability is promised, a client never gets the acknowledgement of a commit that was not waited for.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

constexpr std::string_view kUnknown =
    "The outcome of the current statement or transaction is unknown: it may have been committed.";

ProxyUnderTest::Options available() {
  return {.proxy = {.workers = 1}, .durability = Durability::kAvailable};
}

std::string cancelled_wait(std::string_view context = "") {
  return full_report('N', "WARNING", "01000", "storniere Warten auf synchrone Replikation", context,
                     "SyncRepWaitForLSN");
}

struct Case {
  const char* name;
  std::string client_said;
  std::string heard;    // of the server, by the client
  std::string dropped;  // what the server says behind that
};

const Case kCases[] = {
    {"autocommit", query("insert"), cancelled_wait(), command_complete("INSERT 0 1") + ready_for_query('I')},
    {"COMMIT", query("commit"), cancelled_wait(), command_complete("COMMIT") + ready_for_query('I')},
    {"extended query: the statement is complete before its commit is",
     parse("insert") + bind() + execute() + sync_message(),
     message('1', "") + message('2', "") + command_complete("INSERT 0 1") + cancelled_wait(), ready_for_query('I')},
    {"extended query, COMMIT", parse("commit") + bind() + execute() + sync_message(),
     message('1', "") + message('2', "") + cancelled_wait(), command_complete("COMMIT") + ready_for_query('I')},
    {"before the end of the session", query("commit"),
     full_report('N', "WARNING", "57P01", "storniere Warten und beende Verbindung", "", "SyncRepWaitForLSN"), ""},
    {"behind another notice", query("call p()"),
     full_report('N', "NOTICE", "00000", "hello", "PL/pgSQL function p() line 3 at RAISE", "exec_stmt_raise") +
         cancelled_wait("PL/pgSQL function p() line 4 at COMMIT"),
     command_complete("CALL") + ready_for_query('I')},
    {"in front of something huge", query("commit; select big"), cancelled_wait(),
     command_complete("COMMIT") + data_row(std::string(100'000, 'x'))},
};

// The server speaks in two pieces, and the proxy has read the first one before the second is there.
void check_is_ended(ProxyUnderTest& proxy, const Case& spoken, std::size_t cut) {
  CAPTURE(spoken.name);
  CAPTURE(cut);
  auto session = proxy.establish(proxy.a);
  session.client.send(spoken.client_said);
  REQUIRE(session.server.receive(spoken.client_said.size()) == spoken.client_said);
  const auto ended_before = proxy.stats().commit_waits_interrupted;
  const auto read_before = proxy.bytes_read();
  const std::string said = spoken.heard + spoken.dropped;
  session.server.send(said.substr(0, cut));
  REQUIRE(wait_until([&] { return proxy.bytes_read() >= read_before + std::min(cut, spoken.heard.size()); }));
  try {
    session.server.send(said.substr(cut));
  } catch (const std::exception&) {
    CHECK(cut >= spoken.heard.size());  // the proxy has left the server
  }
  REQUIRE(session.client.receive(spoken.heard.size()) == spoken.heard);
  const auto error = last_error(session.client.receive_message());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M').find("server \"a\"") != std::string::npos);
  CHECK(error.field('D') == kUnknown);
  CHECK(session.client.receive_to_end().empty());
  CHECK_FALSE(session.client.ended_by_reset());
  CHECK(proxy.stats().commit_waits_interrupted == ended_before + 1);
}

}  // namespace

TEST_CASE("an interrupted wait ends the session in front of the acknowledgement, wherever the stream is cut") {
  ProxyUnderTest proxy(available());
  proxy.route_to_a(1);
  for (const Case& spoken : kCases) {
    for (std::size_t cut = 0; cut <= spoken.heard.size() + std::min<std::size_t>(spoken.dropped.size(), 100); ++cut) {
      check_is_ended(proxy, spoken, cut);
    }
  }
  CHECK(wait_until([&] { return proxy.stats().established == 0; }));
}

TEST_CASE("a warning that is too long to be kept back is recognised at its end") {
  ProxyUnderTest proxy(available());
  proxy.route_to_a(1);
  // Messages up to 8 KiB are passed on whole; more than one read is 256 KiB.
  for (const std::size_t context : {8'000U, 8'050U, 9'000U, 300'000U}) {
    CAPTURE(context);
    const Case spoken = {"long", query("call p()"), cancelled_wait(std::string(context, 'c')),
                         command_complete("CALL") + ready_for_query('I')};
    const std::size_t size = spoken.heard.size();
    for (const std::size_t cut : {std::size_t{0}, std::size_t{5}, std::size_t{8'191}, std::size_t{8'192}}) {
      if (cut < size) check_is_ended(proxy, spoken, cut);
    }
    for (std::size_t cut = size - 50; cut <= size + 5; ++cut) check_is_ended(proxy, spoken, cut);
  }
}

TEST_CASE("a long warning in three pieces, its end torn apart") {
  ProxyUnderTest proxy(available());
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  session.client.send(query("call p()"));
  const std::string warning = cancelled_wait(std::string(20'000, 'c'));
  session.server.send(warning.substr(0, 10'000));
  REQUIRE(session.client.receive(10'000) == warning.substr(0, 10'000));
  for (std::size_t at = 10'000; at < warning.size() - 40; at += 1'000) {
    const std::string piece = warning.substr(at, std::min<std::size_t>(1'000, warning.size() - 40 - at));
    session.server.send(piece);
    REQUIRE(session.client.receive(piece.size()) == piece);
  }
  for (std::size_t at = warning.size() - 40; at < warning.size(); ++at) {
    session.server.send(warning.substr(at, 1));
    REQUIRE(session.client.receive(1) == warning.substr(at, 1));
  }
  CHECK(last_error(session.client.receive_to_end()).field('C') == "57P01");
}

TEST_CASE("other notices and errors end nothing, long or short") {
  ProxyUnderTest proxy(available());
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string long_text(20'000, 'x');
  for (const std::string& said : {
           full_report('N', "WARNING", "01000", "RSyncRepWaitForLSN", "", "exec_stmt_raise"),
           full_report('N', "WARNING", "57P01", "RSyncRepWaitForLSN", "RSyncRepWaitForLSN", "SyncRepWaitForLSNs"),
           full_report('N', "WARNING", "01000", "text", long_text, "exec_stmt_raise"),
           full_report('N', "WARNING", "01000", "text", long_text + "RSyncRepWaitForLSN", "SyncRepWaitForLSNs"),
           report('N', "WARNING", "01000", "RSyncRepWaitForLSN"),
           message('N', ""),
           full_report('E', "ERROR", "57014", "canceling statement due to user request", "", "ProcessInterrupts"),
           message('D', "\0RSyncRepWaitForLSN\0\0"sv),
           message('D', std::string(20'000, 'x') + std::string("\0RSyncRepWaitForLSN\0\0"sv)),
       }) {
    session.client.send(query("select 1"));
    session.server.send(said + ready_for_query('I'));
    REQUIRE(session.client.receive(said.size() + 6) == said + ready_for_query('I'));
  }
  CHECK(proxy.stats().commit_waits_interrupted == 0);
}

TEST_CASE("where nothing is promised, the warning and what follows it are the server's own affair") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::string said = cancelled_wait() + command_complete("COMMIT") + ready_for_query('I');
  session.client.send(query("commit"));
  session.server.send(said);
  CHECK(session.client.receive(said.size()) == said);
  CHECK(proxy.stats().commit_waits_interrupted == 0);
}
