// Never a standby behind the write endpoint: servers that do not tell their role are asked, and a session whose server
// turns out to be a standby ends with 57P01.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/proxy_under_test.h"
#include "tests/protocol/script.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

// Of PostgreSQL 13, which does not report in_hot_standby.
const std::string kOldLogin = authentication_ok() + parameter_status("server_version", "13.20") +
                              backend_key_data(4711, "\1\2\3\4"sv) + ready_for_query('I');
const std::string kQuestion = query("SELECT pg_catalog.pg_is_in_recovery()");
const std::string kWalSenderQuestion = query("SHOW transaction_read_only");

std::string answer(std::string_view value, std::string_view tag = "SELECT 1") {
  return message('T', std::string(20, '\0')) + data_row(value) + command_complete(tag) + ready_for_query('I');
}

std::string startup_with(std::string_view name, std::string_view value) {
  return untyped(int16_bytes(3) + int16_bytes(0) + zero_terminated("user") + zero_terminated("alice") +
                 zero_terminated(name) + zero_terminated(value) + '\0');
}

// A client whose server was asked for its role.
struct Asked {
  Asked(ProxyUnderTest& proxy, const std::string& startup, const std::string& question) : client(proxy.connect()) {
    client.send(startup);
    server = proxy.a.accept();
    REQUIRE(server.receive(startup.size()) == startup);
    server.send(kOldLogin);
    REQUIRE(server.receive(question.size()) == question);
  }

  Peer client;
  Peer server;
};

std::string refused_by(std::string_view routine, std::string_view context = "") {
  return full_report('E', "ERROR", "25006", "kann INSERT nicht ausführen", context, routine);
}

const std::string kOfRecovery = refused_by("PreventCommandDuringRecovery");
const std::string kOfTransaction = refused_by("PreventCommandIfReadOnly");

}  // namespace

TEST_CASE("a server that does not tell its role is asked, and the client hears nothing of it, wherever it is cut") {
  play_with_every_cut([](Script& script) {
    script.client_connects();
    script.client_says(startup_message());
    script.server_accepts();
    script.server_hears(startup_message());
    script.server_says(kOldLogin);
    script.server_hears(kQuestion);
    script.server_says(answer("f"));
    script.client_hears(kOldLogin);
    script.client_says(query("select 1"));
    script.server_hears(query("select 1"));
    const std::string said = data_row("1") + command_complete("SELECT 1") + ready_for_query('I');
    script.server_says(said);
    script.client_hears(said);
    script.client_says(terminate());
    script.server_hears(terminate());
    script.client().close();
    script.server_hears_the_end();
  });
}

TEST_CASE("what a client has sent ahead does not overtake the question") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Asked asked(proxy, startup_message(), kQuestion);
  asked.client.send(query("insert"));
  asked.server.send(answer("f").substr(0, 10));
  asked.server.send(answer("f").substr(10));
  REQUIRE(asked.client.receive(kOldLogin.size()) == kOldLogin);
  CHECK(asked.server.receive(query("insert").size()) == query("insert"));
}

TEST_CASE("what the server says unasked while it is asked is the client's") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Asked asked(proxy, startup_message(), kQuestion);
  const std::string unasked = report('N', "WARNING", "01000", "careful") + parameter_status("TimeZone", "UTC");
  const std::string said = answer("f");
  asked.server.send(unasked + said.substr(0, said.size() - ready_for_query('I').size()) + unasked +
                    ready_for_query('I'));
  CHECK(asked.client.receive(kOldLogin.size() + 2 * unasked.size()) == kOldLogin + unasked + unasked);
}

TEST_CASE("a server that answers that it is a standby, or not at all, does not get the client") {
  struct Case {
    const char* name;
    std::string startup;
    std::string question;
    std::string answer;
    std::string cause;
  };
  const std::string physical = startup_with("replication", "true");
  const std::string no_answer = report('E', "ERROR", "57014", "canceling statement due to statement timeout");
  const Case cases[] = {
      {"standby", startup_message(), kQuestion, answer("t"), "is a standby"},
      {"an error", startup_message(), kQuestion, no_answer + ready_for_query('I'), "does not tell"},
      {"nonsense", startup_message(), kQuestion, answer("maybe"), "does not tell"},
      {"no row", startup_message(), kQuestion, command_complete("SELECT 0") + ready_for_query('I'), "does not tell"},
      {"a FATAL", startup_message(), kQuestion, report('E', "FATAL", "57P01", "I am going"), "I am going"},
      {"logical replication", startup_with("replication", "database"), kQuestion, answer("t"), "is a standby"},
      {"physical replication", physical, kWalSenderQuestion, answer("on", "SHOW"), "does not tell"},
      {"the same, said otherwise", startup_with("replication", "YES"), kWalSenderQuestion, answer("on", "SHOW"),
       "does not tell"},
  };
  for (const Case& spoken : cases) {
    CAPTURE(spoken.name);
    ProxyUnderTest proxy({.proxy = {.workers = 1, .hold_timeout = 300ms}});
    proxy.route_to_a(1);
    Asked asked(proxy, spoken.startup, spoken.question);
    asked.server.send(spoken.answer);
    asked.server.receive_to_end();
    asked.server.close();
    proxy.a.close();
    const auto error = last_error(asked.client.receive_to_end());
    CHECK(error.field('C') == "08001");
    CHECK(proxy.stats().logins == 0);
  }
}

TEST_CASE("a client that was held off a standby gets to the primary") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Asked asked(proxy, startup_message(), kQuestion);
  asked.server.send(answer("t"));
  CHECK(asked.server.receive_to_end() == terminate());
  proxy.route_to_b(2);
  Peer server = proxy.b.accept();
  REQUIRE(server.receive(startup_message().size()) == startup_message());
  server.send(kOldLogin);
  REQUIRE(server.receive(kQuestion.size()) == kQuestion);
  server.send(answer("f"));
  CHECK(asked.client.receive(kOldLogin.size()) == kOldLogin);
}

TEST_CASE("a walsender for physical replication that is none of a standby is let through") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Asked asked(proxy, startup_with("replication", "on"), kWalSenderQuestion);
  asked.server.send(answer("off", "SHOW"));
  CHECK(asked.client.receive(kOldLogin.size()) == kOldLogin);
}

TEST_CASE("an error that recovery is the cause of does not reach the client: 57P01 does, wherever it is cut") {
  struct Case {
    const char* name;
    std::string client_said;
    std::string heard;  // in front of the error
    std::string error;
  };
  const std::string became_standby = parameter_status("in_hot_standby", "on");
  const std::string row = data_row("1");
  const Case cases[] = {
      {"simple", query("listen x"), "", kOfRecovery},
      {"the second of a batch", query("select 1; listen x"), row + command_complete("SELECT 1"), kOfRecovery},
      {"extended", parse("listen x") + bind() + execute() + sync_message(), message('1', "") + message('2', ""),
       kOfRecovery},
      {"in a pipeline",
       parse("select 1") + bind() + execute() + parse("listen x") + bind() + execute() + sync_message(),
       message('1', "") + message('2', "") + row + command_complete("SELECT 1") + message('1', "") + message('2', ""),
       kOfRecovery},
      {"COPY out", query("copy (select f()) to stdout"), message('H', "\0\0\0"sv) + message('d', "1\n"), kOfRecovery},
      {"COPY in", query("copy t from stdin"), message('G', "\0\0\0"sv), kOfRecovery},
      {"a long one", query("select f()"), row, refused_by("PreventCommandDuringRecovery", std::string(9'000, 'c'))},
      {"it says that it is a standby", query("begin"), "", became_standby},
      {"the same, behind an answer", query("begin"), command_complete("BEGIN") + ready_for_query('T'), became_standby},
  };
  ProxyUnderTest proxy({.proxy = {.workers = 1}});
  proxy.route_to_a(1);
  for (const Case& spoken : cases) {
    const std::string said = spoken.heard + spoken.error;
    const std::size_t step = said.size() > 1'000 ? 97 : 1;
    for (std::size_t cut = 0; cut <= said.size(); cut += step) {
      CAPTURE(spoken.name);
      CAPTURE(cut);
      auto session = proxy.establish(proxy.a);
      session.client.send(spoken.client_said);
      REQUIRE(session.server.receive(spoken.client_said.size()) == spoken.client_said);
      const auto read_before = proxy.bytes_read();
      session.server.send(said.substr(0, cut));
      REQUIRE(wait_until([&] { return proxy.bytes_read() >= read_before + cut; }));
      if (cut < said.size()) session.server.send(said.substr(cut));
      REQUIRE(session.client.receive(spoken.heard.size()) == spoken.heard);
      const auto error = last_error(session.client.receive_message());
      CHECK(error.field('C') == "57P01");
      CHECK(error.field('M').find("server \"a\" is a standby now") != std::string::npos);
      CHECK(session.client.receive_to_end().empty());
      CHECK_FALSE(session.client.ended_by_reset());
      session.server.receive_to_end();
    }
  }
  CHECK(wait_until([&] { return proxy.stats().established == 0; }));
  CHECK(proxy.has_evidence(LinkEvidence::Kind::kBroken, "a"));
}

TEST_CASE("an error of the client's own read-only transaction passes, and so does what only looks like the other") {
  const std::string answers[] = {
      kOfTransaction + ready_for_query('E'),
      // The text, or another field, says nothing.
      report('E', "ERROR", "25006", "PreventCommandDuringRecovery") + ready_for_query('I'),
      full_report('E', "ERROR", "0A000", "cannot set transaction read-write mode during recovery", "",
                  "PreventCommandDuringRecovery") +
          ready_for_query('E'),
      full_report('N', "WARNING", "25006", "raised by somebody", "", "PreventCommandDuringRecovery") +
          ready_for_query('I'),
      refused_by("PreventCommandIfReadOnly", std::string(40'000, 'c')) + ready_for_query('E'),
      parameter_status("in_hot_standby", "off") + ready_for_query('I'),
      parameter_status("default_transaction_read_only", "on") + ready_for_query('I'),
  };
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (const std::string& said : answers) {
    for (const std::size_t cut : {std::size_t{0}, std::size_t{3}, std::size_t{5}, std::size_t{6}, said.size() / 2}) {
      CAPTURE(said.substr(0, 100));
      CAPTURE(cut);
      auto session = proxy.establish(proxy.a);
      session.client.send(query("insert"));
      REQUIRE(session.server.receive(query("insert").size()) == query("insert"));
      const auto read_before = proxy.bytes_read();
      session.server.send(said.substr(0, cut));
      REQUIRE(wait_until([&] { return proxy.bytes_read() >= read_before + cut; }));
      session.server.send(said.substr(cut));
      REQUIRE(session.client.receive(said.size()) == said);
      session.client.send(query("select 1"));
      CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
    }
  }
}
