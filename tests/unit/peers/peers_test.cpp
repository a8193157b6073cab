// A PeerServer and PeerClients that talk over TLS, in this process.
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "replication/peers/peer_client.h"
#include "replication/peers/peer_server.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

class Authority {
 public:
  Authority() : made_(make_authority(validity()).value()) {}

  [[nodiscard]] TlsIdentity issue(CertificateRole role, const std::vector<std::string>& hosts) const {
    const auto issued = issue_certificate(made_, {role, hosts, validity()}).value();
    return {{"ca", made_.certificate_pem}, {"cert", issued.certificate_pem}, {"key", issued.key_pem}};
  }

 private:
  static Validity validity() { return {wall_now() - 1h, wall_now() + 24h}; }

  KeyedCertificate made_;
};

const Authority& authority() {
  static const Authority made;
  return made;
}

TlsIdentity pgkeel_at(const std::string& host) {
  return authority().issue(CertificateRole::kProxy, {host});
}

// A pgkeel at 127.0.0.1 that answers as the members say.
struct Peer {
  explicit Peer(const TlsIdentity& identity = pgkeel_at("127.0.0.1")) {
    server.emplace(loop,
                   PeerServer::Answers{
                       .promise =
                           [this](const PromiseRequest& request) {
                             asked_by = request.from;
                             return promise;
                           },
                       .view = [] { return PeerView{.name = "right", .version = "1", .settings = {}, .nodes = {}}; },
                       .cancel =
                           [this](const PeerCancel& cancel, std::function<void(bool)> done) {
                             cancels.push_back(cancel);
                             if (answers_cancels) done(has_session);
                           },
                   });
    REQUIRE(server->listen({"127.0.0.1", 0}, TlsAcceptor::open(identity, CertificateRole::kProxy).value()));
  }

  [[nodiscard]] std::string address(const std::string& host = "127.0.0.1") const {
    return host + ":" + std::to_string(server->port());
  }

  // What a client with this identity is told.
  Result<Promise> promise_for(const TlsIdentity& identity, const std::string& host = "127.0.0.1") {
    PeerClient client(loop, identity);
    std::optional<Result<Promise>> told;
    client.ask_promise(address(host), {.from = "left", .instance = "7f", .applied = {{"orders", 4}}}, 10s,
                       [&](Result<Promise> answer) { told = std::move(answer); });
    REQUIRE(run_until(loop, [&] { return told.has_value(); }));
    return *told;
  }

  Loop loop;
  std::optional<Promise> promise =
      Promise{.from = "right", .holds = true, .roster = {1, {"left", "right"}}, .routes = {}};
  std::string asked_by;
  std::vector<PeerCancel> cancels;
  bool has_session = false;
  bool answers_cancels = true;
  std::optional<PeerServer> server;
};

}  // namespace

TEST_CASE("a promise, a view and a cancel request go from one pgkeel to another") {
  Peer peer;
  const auto promise = peer.promise_for(pgkeel_at("10.0.0.1"));
  REQUIRE(promise);
  CHECK(promise->holds);
  CHECK(promise->roster.members == std::set<std::string>{"left", "right"});
  CHECK(peer.asked_by == "left");

  PeerClient client(peer.loop, pgkeel_at("10.0.0.1"));
  std::optional<Result<PeerView>> view;
  client.ask_view(peer.address(), 10s, [&](Result<PeerView> answer) { view = std::move(answer); });
  REQUIRE(run_until(peer.loop, [&] { return view.has_value(); }));
  REQUIRE(*view);
  CHECK((*view)->name == "right");

  for (const bool has_session : {false, true}) {
    peer.has_session = has_session;
    const PeerCancel cancel{"orders", 7, std::string("\0\x01\xfe\xff", 4)};
    std::optional<bool> is_forwarded;
    client.send_cancel(peer.address(), cancel, 10s, [&](bool forwarded) { is_forwarded = forwarded; });
    REQUIRE(run_until(peer.loop, [&] { return is_forwarded.has_value(); }));
    CHECK(*is_forwarded == has_session);
    CHECK(peer.cancels.back() == cancel);
  }
}

TEST_CASE("a pgkeel that gives no promise says so") {
  Peer peer;
  peer.promise.reset();
  const auto promise = peer.promise_for(pgkeel_at("10.0.0.1"));
  REQUIRE_FALSE(promise);
  CHECK(promise.error().message.find("answered 409") != std::string::npos);
}

TEST_CASE("an agent's certificate opens no pgkeel's door, and answers for no pgkeel") {
  Peer peer;
  CHECK_FALSE(peer.promise_for(authority().issue(CertificateRole::kAgent, {"127.0.0.1"})));
  CHECK(peer.asked_by.empty());
  Peer agent(authority().issue(CertificateRole::kAgent, {"127.0.0.1"}));
  CHECK_FALSE(agent.promise_for(pgkeel_at("10.0.0.1")));
  CHECK(agent.asked_by.empty());
}

TEST_CASE("a certificate of another host, of another authority, or without a host, is no pgkeel's to ask") {
  Peer other_host(pgkeel_at("10.0.0.9"));
  CHECK_FALSE(other_host.promise_for(pgkeel_at("10.0.0.1")));
  Peer no_host(authority().issue(CertificateRole::kProxy, {}));
  CHECK_FALSE(no_host.promise_for(pgkeel_at("10.0.0.1")));
  Peer peer;
  CHECK_FALSE(peer.promise_for(Authority().issue(CertificateRole::kProxy, {"10.0.0.1"})));
  CHECK(peer.asked_by.empty());
}

TEST_CASE("what is no request of this version is refused, and the next one is answered") {
  Peer peer;
  HttpTransfers transfers(peer.loop);
  const TlsIdentity identity = pgkeel_at("10.0.0.1");
  const auto status_of = [&](const std::string& call, const std::string& body) {
    long status = 0;
    transfers.start({.url = "https://" + peer.address() + call,
                     .body = body,
                     .headers = {},
                     .tls = {.authority_pem = identity.authority.pem,
                             .certificate_pem = identity.certificate.pem,
                             .key_pem = identity.key.pem,
                             .role = CertificateRole::kProxy},
                     .limit = 10s,
                     .on_bytes = {}},
                    [&](Result<HttpTransferAnswer> answer) { status = answer ? answer->status : -1; });
    REQUIRE(run_until(peer.loop, [&] { return status != 0; }));
    return status;
  };
  CHECK(status_of("/peer/v1/promise", "{\"from\":7}") == 400);
  CHECK(status_of("/peer/v1/cancel", "nonsense") == 400);
  CHECK(status_of("/peer/v2/promise", "{}") == 404);
  CHECK(status_of("/peer/v1/view", "") == 200);
}

TEST_CASE("wherever a name is looked up, the other's certificate must bear it") {
  Peer peer(pgkeel_at("right.example"));
  HttpTransfers transfers(peer.loop, [&](const std::string&, NameLookup::Done done) {
    peer.loop.defer([done = std::move(done)] { done(std::vector<std::string>{"127.0.0.1"}); });
    return std::make_shared<int>();
  });
  const TlsIdentity identity = pgkeel_at("10.0.0.1");
  const auto status_at = [&](const std::string& host) {
    HttpTransfer transfer;
    transfer.url = "https://" + peer.address(host) + "/peer/v1/view";
    transfer.tls = {.authority_pem = identity.authority.pem,
                    .certificate_pem = identity.certificate.pem,
                    .key_pem = identity.key.pem,
                    .role = CertificateRole::kProxy};
    transfer.limit = 10s;
    long status = 0;
    transfers.start(std::move(transfer),
                    [&](Result<HttpTransferAnswer> answer) { status = answer ? answer->status : -1; });
    REQUIRE(run_until(peer.loop, [&] { return status != 0; }));
    return status;
  };
  CHECK(status_at("right.example") == 200);
  CHECK(status_at("RIGHT.example") == 200);
  CHECK(status_at("left.example") == -1);
}

TEST_CASE("a pgkeel whose loop stands still promises nothing") {
  Peer peer;
  Loop own;
  PeerClient client(own, pgkeel_at("10.0.0.1"));
  std::optional<Result<Promise>> told;
  client.ask_promise(peer.address(), {.from = "left", .instance = "7f", .applied = {}}, 20s,
                     [&](Result<Promise> answer) { told = std::move(answer); });
  REQUIRE(run_until(own, [&] { return told.has_value(); }));
  REQUIRE_FALSE(*told);
  CHECK(told->error().message.find("answered 503") != std::string::npos);
}

TEST_CASE("a pgkeel that stops lets nobody wait") {
  Peer peer;
  peer.answers_cancels = false;
  PeerClient client(peer.loop, pgkeel_at("10.0.0.1"));
  std::optional<bool> is_forwarded;
  client.send_cancel(peer.address(), {"orders", 7, "secret"}, 30s, [&](bool forwarded) { is_forwarded = forwarded; });
  REQUIRE(run_until(peer.loop, [&] { return !peer.cancels.empty(); }));
  peer.server.reset();
  REQUIRE(run_until(peer.loop, [&] { return is_forwarded.has_value(); }));
  CHECK_FALSE(*is_forwarded);
}
