// Conversations that must come through unchanged, each cut at every byte.
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/script.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

void log_in_with_trust(Script& script) {
  script.client_connects();
  script.client_says(startup_message());
  script.server_accepts();
  script.server_hears(startup_message());
  script.server_says(login_answer());
  script.client_hears(login_answer());
}

void say_goodbye(Script& script) {
  script.client_says(terminate());
  script.server_hears(terminate());
  script.client().finish_sending();
  script.server_hears_the_end();
  script.server().close();
  script.client_hears_the_end();
}

void ask(Script& script, const std::string& question, const std::string& answer) {
  script.client_says(question);
  script.server_hears(question);
  script.server_says(answer);
  script.client_hears(answer);
}

}  // namespace

TEST_CASE("a login without a password, a simple query, an end") {
  play_with_every_cut([](Script& script) {
    log_in_with_trust(script);
    ask(script, query("select 1"), data_row("1") + command_complete("SELECT 1") + ready_for_query('I'));
    say_goodbye(script);
  });
}

TEST_CASE("encryption is refused politely, then a password is asked for") {
  play_with_every_cut([](Script& script) {
    script.client_connects();
    script.client_says(gss_encryption_request());
    script.client_hears("N");
    script.client_says(ssl_request());
    script.client_hears("N");
    script.client_says(startup_message());
    script.server_accepts();
    script.server_hears(startup_message());
    ask(script, "", authentication(5, "salt"));
    script.client_says(password("md5..."));
    script.server_hears(password("md5..."));
    script.server_says(login_answer());
    script.client_hears(login_answer());
    say_goodbye(script);
  });
}

TEST_CASE("protocol 3.2: a version negotiation, SCRAM in rounds, a cancel key of 32 bytes") {
  play_with_every_cut([](Script& script) {
    const std::string answer = login_answer(99, std::string(32, 'k'));
    script.client_connects();
    script.client_says(startup_message(2));
    script.server_accepts();
    script.server_hears(startup_message(2));
    const std::string negotiation = message('v', int32_bytes(0x30002) + int32_bytes(0));
    script.server_says(negotiation + authentication(10, "SCRAM-SHA-256\0\0"sv));
    script.client_hears(negotiation + authentication(10, "SCRAM-SHA-256\0\0"sv));
    ask(script, message('p', "client-first"), authentication(11, "server-first"));
    script.client_says(message('p', "client-final"));
    script.server_hears(message('p', "client-final"));
    script.server_says(authentication(12, "server-final") + answer);
    script.client_hears(authentication(12, "server-final") + answer);
    say_goodbye(script);
  });
}

TEST_CASE("a pipeline of extended queries, with an error and a notice in it") {
  play_with_every_cut([](Script& script) {
    log_in_with_trust(script);
    const std::string questions =
        parse("select 1") + bind() + execute() + sync_message() + parse("oops") + sync_message();
    ask(script, questions,
        message('1', "") + message('2', "") + report('N', "NOTICE", "00000", "hello") + data_row("1") +
            command_complete("SELECT 1") + ready_for_query('I') + report('E', "ERROR", "42601", "syntax error") +
            ready_for_query('I'));
    say_goodbye(script);
  });
}

TEST_CASE("COPY in and out, a notification, a function call") {
  play_with_every_cut([](Script& script) {
    log_in_with_trust(script);
    ask(script, query("copy t from stdin"), message('G', "\0\0\0"sv));
    ask(script, message('d', "1\n") + message('d', "2\n") + message('c', ""),
        command_complete("COPY 2") + ready_for_query('I'));
    ask(script, query("copy t to stdout"),
        message('H', "\0\0\0"sv) + message('d', "1\n") + message('c', "") + command_complete("COPY 1") +
            ready_for_query('I'));
    const std::string notification = message('A', int32_bytes(7) + std::string("channel\0payload\0", 16));
    script.server_says(notification);
    script.client_hears(notification);
    ask(script, message('F', "call"), message('V', "result") + ready_for_query('T'));
    say_goodbye(script);
  });
}

TEST_CASE("a replication connection") {
  play_with_every_cut([](Script& script) {
    log_in_with_trust(script);
    ask(script, query("START_REPLICATION 0/0"), message('W', "\0\0\0"sv));
    ask(script, "", message('d', "wal from the server"));
    script.client_says(message('d', "r standby status"));
    script.server_hears(message('d', "r standby status"));
    ask(script, message('c', ""), message('c', "") + command_complete("COPY 0") + ready_for_query('I'));
    say_goodbye(script);
  });
}

TEST_CASE("the server refuses the login: its own words reach the client") {
  play_with_every_cut([](Script& script) {
    script.client_connects();
    script.client_says(startup_message());
    script.server_accepts();
    script.server_hears(startup_message());
    script.server_says(authentication(3));
    script.client_hears(authentication(3));
    script.client_says(password("wrong"));
    script.server_hears(password("wrong"));
    const std::string refusal = report('E', "FATAL", "28P01", "password authentication failed");
    script.server_says(refusal);
    script.server().close();
    script.client_hears(refusal);
    script.client_hears_the_end();
  });
}

TEST_CASE("what a server says after AuthenticationOk but before it is ready reaches the client in order") {
  play_with_every_cut([](Script& script) {
    script.client_connects();
    script.client_says(startup_message());
    script.server_accepts();
    script.server_hears(startup_message());
    const std::string refusal = authentication_ok() + report('N', "WARNING", "01000", "password expires") +
                                report('E', "FATAL", "3D000", "database \"x\" does not exist");
    script.server_says(refusal);
    script.server().close();
    script.client_hears(refusal);
    script.client_hears_the_end();
  });
}

TEST_CASE("a crash elsewhere is announced as a shutdown, and the client is told that its session is over") {
  play_with_every_cut([](Script& script) {
    log_in_with_trust(script);
    script.server_says(report('N', "WARNING", "57P02", "terminating connection because of crash"));
    script.client_hears(report('N', "WARNING", "57P01", "terminating connection because of crash"));
    script.server().close();
    const auto error = last_error(script.client().receive_to_end());
    CHECK_FALSE(script.client().ended_by_reset());
    CHECK(error.field('C') == "57P01");
  });
}

TEST_CASE("messages of all sizes around the limits of the relay come through, both ways") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  for (const std::size_t size : {0U, 1U, 8180U, 8181U, 8182U, 8187U, 8188U, 65530U, 65531U, 65536U, 200'000U}) {
    CAPTURE(size);
    const std::string question = message('Q', std::string(size, 'q')) + sync_message();
    session.client.send(question);
    CHECK(session.server.receive(question.size()) == question);
    const std::string answer = message('D', std::string(size, 'd')) + ready_for_query('I');
    session.server.send(answer);
    CHECK(session.client.receive(answer.size()) == answer);
  }
}
