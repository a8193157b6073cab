// Clients and servers that break TLS at any place: the access point gets rid of them, and serves the next one.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tests/protocol/tls_clients.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

// What is sent is cut into pieces, and perhaps damaged, or not sent to its end.
void send_somehow(Random& random, Peer& peer, std::string bytes, bool& broken) {
  if (random.one_in(4)) {
    random.damage(bytes);
    broken = true;
  }
  if (random.one_in(10)) {
    bytes.resize(random.below(bytes.size() + 1));
    broken = true;
  }
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), 1 + random.length());
    peer.send(bytes.substr(0, size));
    bytes.erase(0, size);
  }
}

void play_client(Random& random, const ProxyUnderTest& proxy) {
  Peer raw = proxy.connect();
  bool broken = false;
  if (random.one_in(2)) {
    raw.send(ssl_request());
    if (raw.receive(1) != "S") return;
  }
  TlsPeerOptions options;
  if (random.one_in(2)) options.newest_version = 0x0303;
  options.offers_postgresql = !random.one_in(4);
  TlsPeer client(std::move(raw), options);
  while (!broken) {
    const std::string out = client.take_output();
    send_somehow(random, client.peer(), out, broken);
    if (broken || client.handshake_is_over() || !client.take_input()) break;
  }
  if (!broken && !random.one_in(3)) {
    try {
      client.shake_hands();
      std::string records = client.encrypt(startup_message());
      if (random.one_in(2)) records += client.encrypt(random.bytes(random.length()));
      send_somehow(random, client.peer(), records, broken);
    } catch (const TlsPeerError&) {  // it was refused
    }
  }
  if (random.one_in(2))
    client.peer().reset();
  else
    client.peer().close();
}

}  // namespace

TEST_CASE("handshakes of clients that are damaged, cut, or broken off") {
  ProxyUnderTest proxy(
      {.proxy = {.workers = 2, .max_client_connections = 50}, .client_tls = client_tls(ClientTlsMode::kAllow)});
  proxy.route_nowhere(1);
  for_seeds(150, [&](std::uint64_t seed) {
    Random random(seed);
    try {
      play_client(random, proxy);
    } catch (const std::system_error&) {  // the proxy has closed the connection already
    }
  });
  REQUIRE(wait_all_gone(proxy));
  // It still serves.
  proxy.route_to_a(2);
  TlsPeer client = encrypted(proxy);
  Peer server = log_in(proxy, client);
  check_passes_both_ways(client, server);
}
