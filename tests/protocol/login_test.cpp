// What a connecting client goes through: holding, repeated logins, the check of the role.
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "tests/protocol/login_steps.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

void finish_login(Peer& client, Peer& server) {
  server.send(login_answer());
  const std::string heard = client.receive(login_answer().size());
  REQUIRE(heard == login_answer());
}

ProxyUnderTest::Options with(ProxyConfig proxy) {
  proxy.workers = 2;
  return {.proxy = proxy};
}

}  // namespace

TEST_CASE("a client that connects while there is no route is held, and then logged in without an error") {
  ProxyUnderTest proxy;
  Peer client = begin_login(proxy);
  wait_until_held(proxy, 1);
  CHECK_FALSE(client.has_something_to_read());
  proxy.route_to_b(1);
  Peer server = accept_startup(proxy.b);
  finish_login(client, server);
  CHECK(proxy.stats().held == 0);
  CHECK(proxy.stats().logins == 1);
}

TEST_CASE("after hold_timeout a client gets 08001 with the reason") {
  ProxyUnderTest proxy(with({.hold_timeout = 50ms}));
  proxy.route_nowhere(1, "a failed: its postmaster died");
  Peer client = begin_login(proxy);
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("a failed: its postmaster died") != std::string::npos);
  CHECK(error.field('D').empty());
  CHECK(error.field('H').find("same address") != std::string::npos);
  CHECK_FALSE(client.ended_by_reset());
}

TEST_CASE("a server that refuses connections is evidence, and the client is held until it is back") {
  ProxyUnderTest proxy;
  proxy.a.close();
  proxy.route_to_a(7);
  Peer client = begin_login(proxy);
  REQUIRE(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kRefused, "a"); }));
  CHECK(proxy.evidence().front().epoch == 7);
  CHECK(proxy.evidence().front().cluster == "c");
  proxy.a.reopen();
  Peer server = accept_startup(proxy.a);
  finish_login(client, server);
}

TEST_CASE("a server that refuses connections for hold_timeout is named in the error") {
  ProxyUnderTest proxy(with({.hold_timeout = 50ms}));
  proxy.a.close();
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("Connection refused") != std::string::npos);
}

TEST_CASE("many clients of a server that refuses connections are not many attempts") {
  ProxyUnderTest proxy;
  proxy.a.close();
  proxy.route_to_a(1);
  std::vector<Peer> clients;
  for (int client = 0; client < 100; ++client) clients.push_back(begin_login(proxy));
  REQUIRE(wait_until([&] { return proxy.stats().held >= 98; }));
  proxy.route_to_b(2);
  proxy.route_nowhere(3);
  wait_until_held(proxy, 100);
  CHECK(proxy.evidence().size() < 10);
}

TEST_CASE("a login that fails before the server has asked for anything is repeated") {
  struct Failure {
    const char* name;
    std::string server_says;
    std::optional<LinkEvidence::Kind> kind;
  };
  const Failure failures[] = {
      {"starting up", report('E', "FATAL", "57P03", "the database system is starting up"),
       LinkEvidence::Kind::kStarting},
      {"no process can be forked", "Ecould not fork new process for connection: Cannot allocate memory\n\0"s, {}},
      {"lost", "", LinkEvidence::Kind::kBroken},
      {"lost behind AuthenticationOk", authentication_ok() + parameter_status("server_version", "15.4"),
       LinkEvidence::Kind::kBroken},
  };
  for (const auto& failure : failures) {
    CAPTURE(failure.name);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    Peer client = begin_login(proxy);
    {
      Peer server = accept_startup(proxy.a);
      server.send(failure.server_says);
    }
    Peer server = accept_startup(proxy.a);
    finish_login(client, server);
    if (failure.kind)
      CHECK(wait_until([&] { return proxy.has_evidence(*failure.kind, "a"); }));
    else
      CHECK(proxy.evidence().empty());
    client.send(query("select 1"));
    CHECK(server.receive(query("select 1").size()) == query("select 1"));
  }
}

TEST_CASE("a login that fails because the server is stopped is repeated on the new primary") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer old_server = accept_startup(proxy.a);
  proxy.a.close();
  old_server.send(report('E', "FATAL", "57P01", "terminating connection due to administrator command"));
  old_server.close();
  proxy.route_to_b(2);
  Peer server = accept_startup(proxy.b);
  finish_login(client, server);
}

TEST_CASE("a change of the route in the middle of a login moves it to the new primary") {
  for (const std::string& server_said : {std::string(), authentication_ok(), login_answer().substr(0, 60)}) {
    CAPTURE(server_said.size());
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    Peer client = begin_login(proxy);
    Peer old_server = accept_startup(proxy.a);
    const auto read_before = proxy.bytes_read();
    old_server.send(server_said);
    REQUIRE(wait_until([&] { return proxy.bytes_read() == read_before + server_said.size(); }));
    proxy.route_to_b(2);
    CHECK(old_server.receive_to_end().empty());
    Peer server = accept_startup(proxy.b);
    finish_login(client, server);
  }
}

TEST_CASE("once a challenge has been passed on, a login can't be repeated: 08001") {
  for (const bool new_epoch : {false, true}) {
    CAPTURE(new_epoch);
    ProxyUnderTest proxy;
    proxy.route_to_a(1);
    Peer client = begin_login(proxy);
    Peer server = accept_startup(proxy.a);
    server.send(authentication(3));
    CHECK(client.receive_message() == authentication(3));
    if (new_epoch)
      proxy.route_to_b(2, "a failed");
    else
      server.close();
    const auto error = last_error(client.receive_to_end());
    CHECK(error.field('C') == "08001");
    CHECK(error.field('M').find(new_epoch ? "a failed" : "server \"a\"") != std::string::npos);
    CHECK_FALSE(client.ended_by_reset());
    CHECK_FALSE(proxy.b.somebody_waits());
  }
}

TEST_CASE("a standby behind the access point is not handed to the client: the login is repeated") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer standby = accept_startup(proxy.a);
  standby.send(login_answer(1, "\1\1\1\1", "on"));
  CHECK(standby.receive_to_end() == terminate());
  CHECK_FALSE(client.has_something_to_read());
  Peer promoted = accept_startup(proxy.a);
  finish_login(client, promoted);
}

TEST_CASE("a standby behind the access point, after a password was asked for: 08001, and never ReadyForQuery") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer standby = accept_startup(proxy.a);
  standby.send(authentication(3));
  CHECK(client.receive_message() == authentication(3));
  client.send(password("secret"));
  CHECK(standby.receive(password("secret").size()) == password("secret"));
  standby.send(login_answer(1, "\1\1\1\1", "on"));
  const std::string heard = client.receive_to_end();
  const auto error = last_error(heard);
  CHECK(error.field('C') == "08001");
  CHECK(error.field('M').find("standby") != std::string::npos);
  CHECK(split_messages(heard).size() == 1);
  CHECK(standby.receive_to_end() == terminate());
}

TEST_CASE("what a client sends ahead of its login waits for the server that will take it") {
  ProxyUnderTest proxy;
  Peer client = proxy.connect();
  client.send(startup_message() + query("select 1"));
  wait_until_held(proxy, 1);
  proxy.route_to_a(1);
  {
    Peer standby = accept_startup(proxy.a);
    standby.send(login_answer(1, "\1\1\1\1", "on"));
    CHECK(standby.receive_to_end() == terminate());
  }
  Peer server = accept_startup(proxy.a);
  finish_login(client, server);
  CHECK(server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("a client that gives up while it is held is forgotten") {
  for (const bool by_reset : {false, true}) {
    CAPTURE(by_reset);
    ProxyUnderTest proxy;
    Peer client = begin_login(proxy);
    wait_until_held(proxy, 1);
    if (by_reset)
      client.reset();
    else
      client.close();
    CHECK(wait_until([&] { return proxy.stats().open == 0; }));
    CHECK(proxy.stats().held == 0);
  }
}

TEST_CASE("a big login answer is passed on once the role is known") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer server = accept_startup(proxy.a);
  std::string answer = authentication_ok() + parameter_status("in_hot_standby", "off") + backend_key_data(1, "abcd");
  for (int notice = 0; notice < 100; ++notice) answer += report('N', "NOTICE", "00000", std::string(2000, 'n'));
  answer += ready_for_query('I');
  server.send(answer);
  CHECK(client.receive(answer.size()) == answer);
  client.send(query("select 1"));
  CHECK(server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("a login answer that is big before the role is known ends with an error") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer server = accept_startup(proxy.a);
  server.send(authentication_ok() + report('N', "NOTICE", "00000", std::string(70'000, 'n')));
  CHECK(last_error(client.receive_to_end()).field('C') == "08P01");
}

TEST_CASE("bytes of a server are a sign of its life") {
  ProxyUnderTest proxy;
  CHECK(proxy.last_bytes_from("a") == Instant{});
  proxy.route_to_a(1);
  const Instant before = monotonic_now();
  auto session = proxy.establish(proxy.a);
  CHECK(proxy.last_bytes_from("a") > before - 10ms);
  CHECK(proxy.last_bytes_from("a") <= monotonic_now());
  CHECK(proxy.last_bytes_from("b") == Instant{});
  const Instant login = proxy.last_bytes_from("a");
  REQUIRE(wait_until([&] { return monotonic_now() > login + 5ms; }));
  session.server.send(message('A', "....."));
  CHECK(wait_until([&] { return proxy.last_bytes_from("a") > login; }));
}

TEST_CASE("a login that gets no answer is reported once, and goes on when the answer comes") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .failure_timeout = std::chrono::milliseconds(50)});
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  REQUIRE(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kNoAnswer, "a"); }));
  // Another one is told of its own silence meanwhile.
  Peer second = proxy.connect();
  second.send(startup_message());
  Peer second_server = proxy.a.accept();
  REQUIRE(wait_until([&] { return proxy.stats().logins_unanswered == 2; }));
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
  second_server.send(login_answer());
  CHECK(second.receive(login_answer().size()) == login_answer());
  CHECK(proxy.stats().logins_unanswered == 2);
}

TEST_CASE("a login that gets no answer while the server answers another one is counted, but no sign of silence") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .failure_timeout = std::chrono::seconds(2)});
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  Peer server = proxy.a.accept();
  Peer second = proxy.connect();
  second.send(startup_message());
  Peer second_server = proxy.a.accept();
  second_server.send(login_answer());
  CHECK(second.receive(login_answer().size()) == login_answer());
  REQUIRE(wait_until([&] { return proxy.stats().logins_unanswered == 1; }));
  CHECK_FALSE(proxy.has_evidence(LinkEvidence::Kind::kNoAnswer, "a"));
}

TEST_CASE("a server that has asked for a password has answered, however long the client takes") {
  ProxyUnderTest proxy({.proxy = {.workers = 1, .login_timeout = std::chrono::milliseconds(300)},
                        .failure_timeout = std::chrono::milliseconds(50)});
  proxy.route_to_a(1);
  Peer client = proxy.connect();
  client.send(startup_message());
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  server.send(authentication(3));
  CHECK(last_error(client.receive_to_end()).field('C') == "08001");
  CHECK(proxy.stats().logins_unanswered == 0);
}

TEST_CASE("with tell_client_address the server sees from where its client comes") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .tell_client_address = true});
  proxy.route_to_a(1);
  Peer client = begin_login(proxy);
  Peer server = proxy.a.accept();
  const std::string seen =
      untyped(int16_bytes(3) + int16_bytes(0) + zero_terminated("user") + zero_terminated("alice") +
              zero_terminated("application_name") + zero_terminated("127.0.0.1") + '\0');
  CHECK(server.receive(seen.size()) == seen);
  finish_login(client, server);
}

TEST_CASE("what a client sends behind its password waits until the server's role is known") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}});
  proxy.route_to_a(1);
  auto [client, server] = Challenged(proxy);
  client.send(password("secret") + query("insert into t values (1)"));
  CHECK(server.receive_message() == password("secret"));
  SUBCASE("and is its own then") {
    finish_login(client, server);
    CHECK(server.receive_message() == query("insert into t values (1)"));
  }
  SUBCASE("and never reaches one that is lost before") {
    server.finish_sending();
    CHECK(last_error(client.receive_to_end()).field('C') == "08001");
    CHECK(server.receive_to_end().empty());
  }
}

TEST_CASE("what is no answer to a challenge ends the login, and does not reach the server") {
  for (const std::string& said : {query("select 1"), message('p', std::string(70'000, 'x')), "p" + int32_bytes(3)}) {
    ProxyUnderTest proxy({.proxy = {.workers = 1}});
    proxy.route_to_a(1);
    auto [client, server] = Challenged(proxy);
    client.send(said);
    CHECK(last_error(client.receive_to_end()).field('C') == "08P01");
    CHECK(server.receive_to_end().empty());
  }
}

TEST_CASE("a client that says goodbye instead of its password is gone") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}});
  proxy.route_to_a(1);
  auto [client, server] = Challenged(proxy);
  client.send(terminate());
  CHECK(client.receive_to_end().empty());
  CHECK(server.receive_to_end().empty());
}
