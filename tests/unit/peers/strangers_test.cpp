// A pgkeel's door for other pgkeels, with hundreds of connections at it that are none.
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/loop.h"
#include "replication/peers/peer_client.h"
#include "replication/peers/peer_server.h"
#include "tests/support/bad_company.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wait_until.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr Duration kEnough = 5min;  // however busy the machine is

Validity validity() {
  return {wall_now() - 1h, wall_now() + 24h};
}

// One that promises whatever it is asked for, and one that asks.
struct TwoPgkeels {
  TwoPgkeels() {
    const auto authority = make_authority(validity()).value();
    const auto issued = issue_certificate(authority, {CertificateRole::kProxy, {"127.0.0.1"}, validity()}).value();
    identity = {{"ca", authority.certificate_pem}, {"cert", issued.certificate_pem}, {"key", issued.key_pem}};
    server.emplace(
        loop, PeerServer::Answers{
                  .promise =
                      [](const PromiseRequest&) {
                        return Promise{.from = "right", .holds = true, .roster = {1, {"left", "right"}}, .routes = {}};
                      },
                  .view = [] { return PeerView{}; },
                  .cancel = [](const PeerCancel&, std::function<void(bool)> done) { done(false); }});
    REQUIRE(server->listen({"127.0.0.1", 0}, TlsAcceptor::open(identity, CertificateRole::kProxy).value()));
    client.emplace(loop, identity);
  }

  // Empty where there was one; else why not.
  std::string trouble_with_a_promise() {
    std::optional<std::string> told;
    client->ask_promise("127.0.0.1:" + std::to_string(server->port()),
                        {.from = "left", .instance = "7f", .applied = {}}, kEnough,
                        [&](Result<Promise> answer) { told = answer ? "" : answer.error().message; });
    REQUIRE(run_until(
        loop, [&] { return told.has_value(); }, kEnough));
    return *told;
  }

  Loop loop;
  TlsIdentity identity;
  std::optional<PeerServer> server;
  std::optional<PeerClient> client;
};

}  // namespace

TEST_CASE("hundreds of strangers at the door of a pgkeel keep no other one from its promise") {
  raise_descriptor_limit();
  TwoPgkeels pgkeels;
  const std::string hello = TlsPeer(Peer()).take_output();
  std::size_t strangers_come = 600;  // more than there are places at the door
  std::string words;
  std::string more;
  SUBCASE("who say nothing") {}
  SUBCASE("who begin a handshake, and leave it there") {
    words = hello;
    strangers_come = 200;  // each makes the machine calculate whenever it comes
  }
  SUBCASE("who shake hands a byte at a time") {
    words = hello.substr(0, 20);
    more = "x";
  }
  SUBCASE("who talk nonsense") {
    words = std::string(20'000, 'x');
    strangers_come = 300;
  }
  const BadCompany strangers(pgkeels.server->port(), strangers_come, words, more);
  REQUIRE(wait_until([&] { return strangers.all_have_come(); }, kEnough));
  // A client waits a second to be connected, hands shaken: on a busy machine it may have to come again.
  for (int time = 0; time < 3; ++time)
    CHECK(wait_until([&] { return pgkeels.trouble_with_a_promise().empty(); }, kEnough));
  CHECK(strangers.times_refused() == 0);
}
