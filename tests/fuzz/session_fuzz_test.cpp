// Clients and servers that misbehave at random through a whole proxy, with routes that change under them.
#include <string>
#include <system_error>

#include "tests/fuzz/fuzz.h"
#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

std::string some_client_bytes(Random& random) {
  std::string text;
  switch (random.below(7)) {
    case 0:
      text = query(random.bytes(random.length()));
      break;
    case 1:
      text = parse("select 1") + bind() + execute() + sync_message();
      break;
    case 2:
      text = message('d', random.bytes(random.length()));
      break;
    case 3:
      text = password("secret");
      break;
    case 4:
      text = ssl_request();
      break;
    case 5:
      text = random.one_in(4) ? terminate() : sync_message();
      break;
    default:
      text = random.bytes(random.below(30));
      break;
  }
  if (random.one_in(10)) random.damage(text);
  return text;
}

std::string some_server_bytes(Random& random) {
  std::string text;
  switch (random.below(9)) {
    case 0:
      text = login_answer();
      break;
    case 1:
      text = authentication(3);
      break;
    case 2:
      text = ready_for_query(random.one_of("ITE"));
      break;
    case 3:
      text = report('N', "WARNING", "57P02", "crash");
      break;
    case 4:
      text = report('E', random.one_in(3) ? "FATAL" : "ERROR", random.one_in(2) ? "57P03" : "57P01", "error");
      break;
    case 5:
      text = login_answer(1, "abcd", "on");
      break;
    case 6:
      text = full_report('N', "WARNING", "01000", "wait", std::string(random.length(), 'c'),
                         random.one_in(3) ? "SyncRepWaitForLSN" : "exec_stmt_raise");
      break;
    default:
      text = message('D', random.bytes(random.length()));
      break;
  }
  if (random.one_in(20)) random.damage(text);
  return text;
}

// The other side may be gone: that is no failure here.
void say(Peer& peer, std::string_view bytes) {
  try {
    peer.send_what_fits(bytes);
  } catch (const std::system_error&) {
    peer.close();
  }
}

}  // namespace

TEST_CASE("whatever clients and servers do, the proxy lives, and forgets them when they are gone") {
  ProxyUnderTest proxy(
      {.proxy = {.workers = 2, .hold_timeout = std::chrono::milliseconds(50)}, .durability = Durability::kAvailable});
  std::uint64_t epoch = 1;
  proxy.route_to_a(epoch);
  for_seeds(300, [&](std::uint64_t seed) {
    Random random(seed);
    Peer client = proxy.connect();
    Peer server;
    if (random.one_in(3)) say(client, ssl_request());
    say(client, random.one_in(10) ? some_client_bytes(random) : startup_message());
    for (std::size_t steps = random.below(30); steps > 0; --steps) {
      if (proxy.a.somebody_waits()) server = proxy.a.accept();
      switch (random.below(6)) {
        case 0:
        case 1:
          if (client.is_open()) say(client, some_client_bytes(random));
          break;
        case 2:
        case 3:
          if (server.is_open()) say(server, some_server_bytes(random));
          break;
        case 4:
          if (random.one_in(10))
            client.close();
          else if (random.one_in(10))
            server.close();
          else if (random.one_in(10) && client.is_open())
            client.reset();
          else if (random.one_in(10) && server.is_open())
            server.reset();
          else if (random.one_in(10) && client.is_open())
            client.finish_sending();
          break;
        default:
          if (random.one_in(10)) {
            proxy.route_nowhere(++epoch);
            proxy.route_to_a(++epoch);
          }
          break;
      }
    }
    client.close();
    server.close();
    const bool forgotten = wait_until([&] {
      while (proxy.a.somebody_waits()) proxy.a.accept();
      return proxy.stats().open == 0;
    });
    REQUIRE(forgotten);
  });
  CHECK(proxy.stats().held == 0);
  CHECK(proxy.stats().established == 0);
  // A new epoch, so that a pause between attempts does not matter.
  proxy.route_to_a(++epoch);
  proxy.establish(proxy.a);
}

TEST_CASE("whenever a session is ended, its error stands between two messages or is left out") {
  ProxyUnderTest proxy;
  std::uint64_t epoch = 0;
  for_seeds(200, [&](std::uint64_t seed) {
    Random random(seed);
    proxy.route_to_a(++epoch);
    auto session = proxy.establish(proxy.a);
    std::string stream;
    for (std::size_t count = 1 + random.below(20); count > 0; --count)
      stream += message('D', random.bytes(random.length()));
    // Cut where it may be, and the end comes while these bytes are on their way.
    session.server.send_what_fits(std::string_view(stream).substr(0, random.below(stream.size() + 1)));
    if (random.one_in(2))
      proxy.route_nowhere(++epoch, "fuzz");
    else
      session.server.close();
    const std::string heard = session.client.receive_to_end();
    REQUIRE_FALSE(session.client.ended_by_reset());
    const auto messages = split_messages(heard);
    bool clean = true;
    for (std::size_t at = 0; at < messages.size(); ++at) {
      if (messages[at].type == 'E') {
        REQUIRE(at + 1 == messages.size());
        REQUIRE(messages[at].field('C') == "57P01");
        return;
      }
      clean = messages[at].type == 'D';
    }
    // Without an error only where one message had begun, and that one was a big one.
    REQUIRE_FALSE(messages.empty());
    REQUIRE_FALSE(clean);
  });
}
