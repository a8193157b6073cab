// Cancel requests find the server that owns their key, and no other.
#include <atomic>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

TEST_CASE("a cancel request reaches the server that owns the key, with keys of any length") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  for (const std::size_t size : {4U, 32U, 256U}) {
    CAPTURE(size);
    const std::string secret(size, 's');
    auto session = proxy.establish(proxy.a, 77, secret);
    Peer cancel = proxy.connect();
    for (const char byte : cancel_request(77, secret)) cancel.send(std::string(1, byte));
    Peer heard = proxy.a.accept();
    CHECK(heard.receive(cancel_request(77, secret).size()) == cancel_request(77, secret));
    // The client learns from the end of its connection that the server has seen the request.
    CHECK_FALSE(cancel.has_something_to_read());
    heard.close();
    CHECK(cancel.receive_to_end().empty());
    CHECK_FALSE(cancel.ended_by_reset());
  }
  CHECK(wait_until([&] { return proxy.stats().cancels_forwarded == 3; }));
}

TEST_CASE("encryption may be asked for before a cancel request") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer cancel = proxy.connect();
  cancel.send(ssl_request());
  CHECK(cancel.receive(1) == "N");
  cancel.send(cancel_request(77, "abcd"));
  CHECK(proxy.a.accept().receive(16) == cancel_request(77, "abcd"));
}

TEST_CASE("an unknown key is closed, and no server hears of it") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  for (const std::string& request :
       {cancel_request(77, "abce"), cancel_request(78, "abcd"), cancel_request(77, "abcdefgh")}) {
    Peer cancel = proxy.connect();
    cancel.send(request);
    CHECK(cancel.receive_to_end().empty());
  }
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK(proxy.stats().cancels_forwarded == 0);
}

TEST_CASE("a cancel request from a network that is not allowed is closed, and no server hears of it") {
  ProxyUnderTest proxy({.proxy = {.workers = 1}, .allow = {"127.0.0.1/32"}});
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer stranger = Peer::connect_to(proxy.port(), "127.0.0.2");
  stranger.send(cancel_request(77, "abcd"));
  CHECK(stranger.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK(proxy.stats().cancels_forwarded == 0);
  Peer client = proxy.connect();
  client.send(cancel_request(77, "abcd"));
  CHECK(proxy.a.accept().receive(16) == cancel_request(77, "abcd"));
}

TEST_CASE("the key of a session that is over is unknown") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  {
    auto session = proxy.establish(proxy.a, 77, "abcd");
    session.client.close();
    session.server.receive_to_end();
  }
  REQUIRE(wait_until([&] { return proxy.stats().open == 0; }));
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(cancel.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
}

TEST_CASE("after a change of the route a cancel request reaches neither the old server nor the new one") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer on_its_way = proxy.connect();
  on_its_way.send(cancel_request(77, "abcd"));
  Peer heard = proxy.a.accept();
  proxy.route_to_b(2);
  CHECK(on_its_way.receive_to_end().empty());
  Peer late = proxy.connect();
  late.send(cancel_request(77, "abcd"));
  CHECK(late.receive_to_end().empty());
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK_FALSE(proxy.b.somebody_waits());
}

TEST_CASE("a cancel request for a server that is gone is closed") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  proxy.a.close();
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(cancel.receive_to_end().empty());
}

namespace {

// Asks, and lets the test answer later.
struct Judge {
  std::vector<CancelQuestion> questions;  // control thread only
  std::vector<CancelAnswer> answers;

  [[nodiscard]] CancelJudge function() {
    return [this](CancelQuestion question, CancelAnswer answer) {
      questions.push_back(std::move(question));
      answers.push_back(std::move(answer));
    };
  }
  static std::size_t asked(ProxyUnderTest& proxy, const Judge& judge) {
    std::size_t count = 0;
    proxy.in_control_thread([&] { count = judge.questions.size(); });
    return count;
  }
};

}  // namespace

TEST_CASE("where commits wait for a standby, a cancel request goes to the server only when the judge says so") {
  for (const Durability durability : {Durability::kStrict, Durability::kAvailable}) {
    for (const bool may_go : {true, false}) {
      CAPTURE(may_go);
      Judge judge;
      ProxyUnderTest proxy({.durability = durability, .cancel_judge = judge.function()});
      proxy.route_to_a(1);
      auto session = proxy.establish(proxy.a, 77, "abcd");
      Peer cancel = proxy.connect();
      cancel.send(cancel_request(77, "abcd"));
      REQUIRE(wait_until([&] { return Judge::asked(proxy, judge) == 1; }));
      CHECK_FALSE(proxy.a.somebody_waits());
      CHECK_FALSE(cancel.has_something_to_read());
      proxy.in_control_thread([&] {
        CHECK(judge.questions.front().cluster == "c");
        CHECK(judge.questions.front().node == "a");
        CHECK(judge.questions.front().process_id == 77);
        judge.answers.front()(may_go);
      });
      if (may_go) CHECK(proxy.a.accept().receive(16) == cancel_request(77, "abcd"));
      CHECK(cancel.receive_to_end().empty());
      CHECK_FALSE(cancel.ended_by_reset());
      const auto told = [&] { return proxy.stats().cancels_forwarded + proxy.stats().cancels_held_back; };
      CHECK(wait_until([&] { return told() == 1; }));
      CHECK(proxy.stats().cancels_forwarded == (may_go ? 1 : 0));
      CHECK_FALSE(proxy.a.somebody_waits());
    }
  }
}

TEST_CASE("a judge that takes too long is not waited for, and what it says then does nothing") {
  Judge judge;
  ProxyUnderTest proxy({.durability = Durability::kAvailable, .cancel_judge = judge.function()});
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(cancel.receive_to_end().empty());
  CHECK(wait_until([&] { return proxy.stats().cancels_held_back == 1; }));
  proxy.in_control_thread([&] { judge.answers.at(0)(true); });
  Peer second = proxy.connect();
  second.send(cancel_request(77, "abcd"));
  REQUIRE(wait_until([&] { return Judge::asked(proxy, judge) == 2; }));
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK(proxy.stats().cancels_forwarded == 0);
}

TEST_CASE("an answer that comes after a change of the route does nothing") {
  Judge judge;
  ProxyUnderTest proxy({.durability = Durability::kAvailable, .cancel_judge = judge.function()});
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  REQUIRE(wait_until([&] { return Judge::asked(proxy, judge) == 1; }));
  proxy.route_to_b(2);
  CHECK(cancel.receive_to_end().empty());
  proxy.in_control_thread([&] { judge.answers.at(0)(true); });
  proxy.route_to_b(3);  // comes to every worker behind the answer
  CHECK_FALSE(proxy.a.somebody_waits());
  CHECK_FALSE(proxy.b.somebody_waits());
}

TEST_CASE(
    "past the deadline of a pgkeel among several a cancel request reaches no server, whatever was allowed before") {
  Judge judge;
  ProxyUnderTest proxy({.durability = Durability::kStrict, .cancel_judge = judge.function()});
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 77, "abcd");
  Peer cancel = proxy.connect();
  cancel.send(cancel_request(77, "abcd"));
  REQUIRE(wait_until([&] { return Judge::asked(proxy, judge) == 1; }));
  proxy.set_write_deadline(Instant{since_boot()});
  proxy.in_control_thread([&] { judge.answers.front()(true); });
  CHECK(proxy.a.accept().receive_to_end().empty());
  CHECK(cancel.receive_to_end().empty());
  CHECK(proxy.stats().cancels_forwarded == 0);
}

TEST_CASE("an unknown key is not worth a question, and without a promise there is none") {
  Judge judge;
  ProxyUnderTest promising({.durability = Durability::kAvailable, .cancel_judge = judge.function()});
  promising.route_to_a(1);
  Peer stranger = promising.connect();
  stranger.send(cancel_request(77, "abcd"));
  CHECK(stranger.receive_to_end().empty());
  ProxyUnderTest asynchronous({.durability = Durability::kAsync, .cancel_judge = judge.function()});
  asynchronous.route_to_a(1);
  auto session = asynchronous.establish(asynchronous.a, 77, "abcd");
  Peer cancel = asynchronous.connect();
  cancel.send(cancel_request(77, "abcd"));
  CHECK(asynchronous.a.accept().receive(16) == cancel_request(77, "abcd"));
  CHECK(Judge::asked(promising, judge) == 0);
  CHECK(Judge::asked(asynchronous, judge) == 0);
}

TEST_CASE("a cancel request that reaches another pgkeel goes to the server of its session, once") {
  ProxyUnderTest here;
  ProxyUnderTest there;
  here.route_to_a(1);
  there.route_to_a(1);
  std::atomic<int> asked{0};
  here.on_strange_cancel([&](const std::string& cluster, const CancelKey& key) {
    CHECK(cluster == "c");
    if (there.forward_cancel(key)) ++asked;
  });
  std::atomic<int> asked_back{0};  // whoever is asked asks nobody
  there.on_strange_cancel([&](const std::string&, const CancelKey&) { ++asked_back; });
  const std::string secret("\0\xff\x01\x02", 4);
  auto session = there.establish(there.a, 77, secret);
  {
    Peer client = here.connect();
    client.send(cancel_request(77, secret));
    CHECK(client.receive_to_end().empty());
    Peer heard = there.a.accept();
    CHECK(heard.receive(cancel_request(77, secret).size()) == cancel_request(77, secret));
  }
  CHECK(wait_until([&] { return there.stats().cancels_forwarded == 1; }));
  CHECK(wait_until([&] { return asked == 1; }));  // the server may have it before the asking one has its answer
  CHECK(asked_back == 0);
  CHECK(here.stats().cancels_forwarded == 0);
  CHECK_FALSE(here.a.somebody_waits());
}

TEST_CASE("nobody's cancel request reaches no server of any pgkeel, nor does that of a client who is not allowed") {
  ProxyUnderTest here({.proxy = {.workers = 1}, .allow = {"127.0.0.1/32"}});
  ProxyUnderTest there;
  here.route_to_a(1);
  there.route_to_a(1);
  std::atomic<int> asked{0};
  here.on_strange_cancel([&](const std::string&, const CancelKey& key) {
    CHECK_FALSE(there.forward_cancel(key));
    ++asked;
  });
  auto session = there.establish(there.a, 77, "abcd");
  Peer stranger = Peer::connect_to(here.port(), "127.0.0.2");
  stranger.send(cancel_request(77, "abcd"));
  CHECK(stranger.receive_to_end().empty());
  Peer client = here.connect();
  client.send(cancel_request(77, "abce"));
  CHECK(client.receive_to_end().empty());
  CHECK(wait_until([&] { return asked == 1; }));
  CHECK_FALSE(there.a.somebody_waits());
}
