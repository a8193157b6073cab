// What the system gives or denies: descriptors, Unix sockets, host names.
#include <arpa/inet.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/socket.h"
#include "tests/protocol/proxy_under_test.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

// Leaves this process so many descriptors.
class DescriptorShortage {
 public:
  explicit DescriptorShortage(rlim_t left) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = dup(0);
    close(lowest_free);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(lowest_free) + left;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~DescriptorShortage() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorShortage(const DescriptorShortage&) = delete;
  DescriptorShortage& operator=(const DescriptorShortage&) = delete;

 private:
  rlimit before_{};
};

void connect_to(int descriptor, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

// One worker, two clusters of two nodes each: the limit leaves 48 descriptors to clients, a quarter of them to
// newcomers.
const ProxyUnderTest::Options with_room_for_clients{.proxy = {.workers = 1}, .descriptor_limit = 248};
constexpr std::size_t kRoomForNewcomers = 12;
constexpr std::uint32_t kRoomForClients = 18;

}  // namespace

TEST_CASE("while there is no descriptor for them, clients wait, and none is lost") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  Peer client;
  {
    const DescriptorShortage shortage(1);
    client = proxy.connect();
    client.send(startup_message());
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(proxy.stats().accepted == 0);
  }
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
}

TEST_CASE("silent clients keep nobody out: while there are many, they go early") {
  ProxyUnderTest proxy(with_room_for_clients);
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 1);
  std::vector<Peer> silent;
  while (silent.size() < kRoomForNewcomers - 1) silent.push_back(proxy.connect());
  proxy.establish(proxy.a, 2);
  CHECK(proxy.stats().newcomers_dropped == 0);  // as yet they are in nobody's way
  while (silent.size() < 60) silent.push_back(proxy.connect());
  for (std::uint32_t client = 3; client < 10; ++client) proxy.establish(proxy.a, client);
  CHECK(silent.front().receive_to_end().empty());
  CHECK(proxy.stats().newcomers_dropped >= 60 - kRoomForNewcomers);
  session.client.send(query("select 1"));
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
}

TEST_CASE("clients that come in one burst are not taken for silent ones because nobody has listened yet") {
  ProxyUnderTest proxy(with_room_for_clients);
  constexpr std::size_t kClients = kRoomForNewcomers + 4;
  std::vector<int> sockets;
  while (sockets.size() < kClients) sockets.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<Peer> clients;
  {
    // Connected, and their startup packets sent, before the first of them is accepted.
    const DescriptorShortage shortage(0);
    for (const int descriptor : sockets) {
      connect_to(descriptor, proxy.port());
      clients.emplace_back(descriptor);
      clients.back().send(startup_message());
    }
  }
  REQUIRE(wait_until([&] { return proxy.stats().held >= kClients; }));
  CHECK(proxy.stats().newcomers_dropped == 0);
}

TEST_CASE("more clients than there are descriptors for get 53300, and leave room for those that are there") {
  ProxyUnderTest proxy(with_room_for_clients);
  proxy.route_to_a(1);
  std::vector<ProxyUnderTest::Established> sessions;
  for (std::uint32_t client = 0; client < kRoomForClients; ++client) {
    sessions.push_back(proxy.establish(proxy.a, client));
  }
  std::vector<Peer> turned_away;  // none of them closes
  for (int client = 0; client < 60; ++client) {
    turned_away.push_back(proxy.connect());
    turned_away.back().send(startup_message());
    const auto error = last_error(turned_away.back().receive_to_end());
    CHECK(error.field('C') == "53300");
    CHECK(error.field('M').find("open files") != std::string::npos);
  }
  CHECK(proxy.stats().established == kRoomForClients);
  sessions.pop_back();
  REQUIRE(wait_until([&] { return proxy.stats().established == kRoomForClients - 1; }));
  proxy.establish(proxy.a);
}

TEST_CASE("a limit on descriptors that leaves nothing to clients is refused at the start") {
  CHECK_THROWS_WITH_AS(ProxyUnderTest({.descriptor_limit = 64}), doctest::Contains("LimitNOFILE"), std::runtime_error);
}

TEST_CASE("no descriptor for the link to a server is our own trouble, and the client is held") {
  ProxyUnderTest proxy;
  Peer client = proxy.connect();
  client.send(startup_message());
  REQUIRE(wait_until([&] { return proxy.stats().held == 1; }));
  {
    const DescriptorShortage shortage(0);
    proxy.route_to_a(1);
    REQUIRE(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kOwnTrouble, "a"); }));
  }
  Peer server = proxy.a.accept();
  server.receive(startup_message().size());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
  CHECK_FALSE(proxy.has_evidence(LinkEvidence::Kind::kRefused, "a"));
  CHECK_FALSE(proxy.has_evidence(LinkEvidence::Kind::kBroken, "a"));
}

TEST_CASE("a server may be reached by a Unix socket") {
  const TemporaryFolder folder;
  ProxyUnderTest proxy;
  const HostPort address{folder.path(), 5432};
  proxy.publish({.epoch = 1, .target = RouteTarget{"a", address}, .reason = ""});
  Peer client = proxy.connect();
  client.send(startup_message());
  // Nobody listens there yet: refused, like a TCP port.
  REQUIRE(wait_until([&] { return proxy.has_evidence(LinkEvidence::Kind::kRefused, "a"); }));
  auto listener = Socket::bind_to(numeric_socket_addresses(address).at(0), Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  REQUIRE(listener->start_listening());
  Socket accepted;
  REQUIRE(wait_until([&] {
    auto one = listener->accept_one();
    if (one) accepted = std::move(one->first);
    return accepted.is_open();
  }));
  Peer server(dup(accepted.descriptor()));
  CHECK(server.receive(startup_message().size()) == startup_message());
  server.send(login_answer());
  CHECK(client.receive(login_answer().size()) == login_answer());
  accepted.close();
  server.close();
  CHECK(last_error(client.receive_to_end()).field('C') == "57P01");
}

TEST_CASE("a server may be reached by its name") {
  ProxyUnderTest proxy;
  proxy.publish({.epoch = 1, .target = RouteTarget{"a", {"localhost", proxy.a.port()}}, .reason = ""});
  for (std::uint32_t session = 0; session < 3; ++session) proxy.establish(proxy.a, session);
}

TEST_CASE("a name that nobody knows is our own trouble, until hold_timeout") {
  ProxyUnderTest proxy({.proxy = {.workers = 1, .hold_timeout = std::chrono::milliseconds(300)}});
  proxy.publish({.epoch = 1, .target = RouteTarget{"a", {"no-such-host.invalid", 5432}}, .reason = ""});
  Peer client = proxy.connect();
  client.send(startup_message());
  const auto error = last_error(client.receive_to_end());
  CHECK(error.field('C') == "08001");
  CHECK_FALSE(proxy.has_evidence(LinkEvidence::Kind::kRefused, "a"));
}

TEST_CASE("two clusters in one process have routes, clients and cancel keys of their own") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a, 7, "seven");
  Peer other = Peer::connect_to(proxy.port_of("d"));
  other.send(startup_message());
  Peer cancel = Peer::connect_to(proxy.port_of("d"));
  cancel.send(cancel_request(7, "seven"));
  CHECK(cancel.receive_to_end().empty());
  CHECK_FALSE(other.has_something_to_read());
  proxy.publish({.epoch = 9, .target = RouteTarget{"b", {"127.0.0.1", proxy.b.port()}}, .reason = ""}, "d");
  Peer other_server = proxy.b.accept();
  other_server.receive(startup_message().size());
  other_server.send(login_answer());
  CHECK(other.receive(login_answer().size()) == login_answer());
  proxy.publish({.epoch = 10, .target = std::nullopt, .reason = "d failed"}, "d");
  CHECK(last_error(other.receive_to_end()).field('M').find("d failed") != std::string::npos);
  session.client.send(query("select 1"));
  CHECK(session.server.receive(query("select 1").size()) == query("select 1"));
  CHECK(proxy.stats().logins == 1);
}
