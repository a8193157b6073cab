#include "tests/fuzz/targets/access_point_harness.h"

#include <cstring>
#include <sys/un.h>
#include <system_error>
#include <utility>

#include "proxy/base/log.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

namespace pgkeel::fuzz {
namespace {

constexpr std::uint16_t kServerPort = 1;
constexpr std::uint16_t kClientPort = 2;
// A byte on a Unix socket is seen in the next turn, what it leads to is written in it, and what it defers runs behind
// it.
constexpr int kTurns = 3;

SocketAddress unix_address(const std::string& folder, std::uint16_t port) {
  return numeric_socket_addresses({folder, port}).at(0);
}

Socket listening(const SocketAddress& address) {
  auto socket = Socket::bind_to(address, Socket::FamilyShare::kBoth);
  require(static_cast<bool>(socket) && socket->start_listening(), "no socket to listen on");
  return std::move(*socket);
}

std::shared_ptr<const TlsContext> made(Result<std::shared_ptr<const TlsContext>> context) {
  require(static_cast<bool>(context), "no TLS context");
  return *context;
}

}  // namespace

Ground::Ground() {
  static const test::TemporaryFolder temporary;
  folder = temporary.path();
  const test::TestCertificates certificates(folder);
  cert = certificates.cert;
  key = certificates.key;
  clients = made(TlsContext::accepting(cert, key, ""));
  verified_clients = made(TlsContext::accepting(cert, key, certificates.ca));
  servers = made(TlsContext::connecting("", TlsContext::HostName::kAny));
  clients_listen = listening(unix_address(folder, kClientPort));
  server_listens = listening(unix_address(folder, kServerPort));
  tls_server_listens = listening(numeric_socket_addresses({"127.0.0.1", 0}).at(0));
  set_log_sink(LogLevel::kError, [](LogLevel, std::string_view, std::string_view) {});
}

Ground& Ground::shared() {
  static Ground ground;
  return ground;
}

AccessPointHarness::AccessPointHarness(const Options& options) : server_tls_(options.server_tls) {
  const Ground& ground = Ground::shared();
  limits_.hold_timeout = options.hold_timeout;
  limits_.login_timeout = std::chrono::seconds(1000);
  judge_ = [](const CancelQuestion&, const CancelAnswer& answer) { answer(true); };
  verifiers_ = [](const VerifierQuestion&, const VerifierSink& sink) { sink({.readable = true}); };
  ClusterConfig config;
  config.name = "c";
  config.client_tls.mode = options.client_tls;
  config.durability = options.keeps_commit_waits ? Durability::kAvailable : Durability::kAsync;
  config.nodes.resize(1);
  config.nodes[0].name = "a";
  ClusterTls tls;
  if (options.client_tls != ClientTlsMode::kOff)
    tls.clients = options.client_tls == ClientTlsMode::kVerifyClient ? ground.verified_clients : ground.clients;
  if (options.server_tls) tls.servers = ground.servers;
  cluster_ = std::make_unique<SharedCluster>(
      config.name, Endpoint::kWrite,
      std::make_shared<const AccessSettings>(config, *AllowList::parse({"0.0.0.0/0", "::/0"})), tls, 0);
  access_point_ = std::make_unique<AccessPoint>(
      WorkerServices{loop_, resolver_, std::span(read_buffer_), limits_, clients_, clients_max_, newcomers_, unproven_,
                     judge_, verifiers_},
      *cluster_, [](const LinkEvidence&) {}, [] {});
}

AccessPointHarness::~AccessPointHarness() {
  access_point_->close_all();
  turn();
  while (accept()) continue;  // what was left waiting is not for the next input
}

test::Peer AccessPointHarness::connect() {
  Ground& ground = Ground::shared();
  const SocketAddress address = unix_address(ground.folder, kClientPort);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0,
          "no connection to the access point");
  auto accepted = ground.clients_listen.accept_one();
  require(static_cast<bool>(accepted), "no connection to accept");
  access_point_->accept({descriptors_.take(), descriptors_.take(), std::move(accepted->first), accepted->second.ip()});
  return test::Peer(descriptor);
}

const Socket& AccessPointHarness::server_listens() const {
  const Ground& ground = Ground::shared();
  return server_tls_ ? ground.tls_server_listens : ground.server_listens;
}

std::optional<test::Peer> AccessPointHarness::accept() {
  const int descriptor = ::accept4(server_listens().descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (descriptor < 0) return std::nullopt;
  return test::Peer(descriptor);
}

void AccessPointHarness::lead(RouteMode mode, bool somewhere) {
  Route route{.epoch = epoch_, .target = std::nullopt, .mode = mode, .reason = "fuzz"};
  const Ground& ground = Ground::shared();
  if (somewhere && server_tls_)
    route.target = RouteTarget{"a", {"127.0.0.1", ground.tls_server_listens.bound_port()}};
  else if (somewhere)
    route.target = RouteTarget{"a", {ground.folder, kServerPort}};
  access_point_->set_route(std::make_shared<const Route>(std::move(route)), [] {});
}

void AccessPointHarness::lead_to_server() {
  ++epoch_;
  lead(RouteMode::kNormal, true);
}

void AccessPointHarness::lead_nowhere() {
  ++epoch_;
  lead(RouteMode::kNormal, false);
}

void AccessPointHarness::drain() {
  lead(RouteMode::kDraining, true);
}

void AccessPointHarness::turn() {
  for (int count = 0; count < kTurns; ++count) {
    loop_.defer([this] { loop_.stop(); });
    loop_.run();
  }
}

std::string take_all(test::Peer& peer) {
  std::string taken;
  while (peer.is_open() && peer.has_something_to_read()) {
    const std::string some = peer.receive_some();
    if (some.empty()) break;
    taken += some;
  }
  return taken;
}

void say(test::Peer& peer, std::string_view bytes) {
  if (!peer.is_open()) return;
  try {
    peer.send_what_fits(bytes);
  } catch (const std::system_error&) {
    peer.close();
  }
}

}  // namespace pgkeel::fuzz
