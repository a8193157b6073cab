// What a reload changes of the data path, and that it drops nobody.
#include <atomic>
#include <csignal>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/socket.h"
#include "tests/protocol/proxy_under_test.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;
using namespace std::chrono_literals;

namespace {

const std::string kQuery = query("SELECT 1");

// The session is there, and what its client sends arrives.
void check_alive(ProxyUnderTest::Established& session) {
  session.client.send(kQuery);
  REQUIRE(session.server.receive(kQuery.size()) == kQuery);
}

std::string sqlstate_of(Peer client) {
  client.send(startup_message());
  return last_error(client.receive_to_end()).field('C');
}

// Connects to these ports all the time, and counts who refuses.
class Knocking {
 public:
  explicit Knocking(std::vector<std::uint16_t> ports)
      : thread_([this, ports = std::move(ports)] {
          while (!enough_) {
            for (const std::uint16_t port : ports) {
              try {
                Peer::connect_to(port);
                ++heard_;
              } catch (const std::exception&) {
                ++refused_;
              }
            }
          }
        }) {}
  ~Knocking() {
    enough_ = true;
    thread_.join();
  }
  Knocking(const Knocking&) = delete;
  Knocking& operator=(const Knocking&) = delete;

  bool wait_for_more(std::uint32_t count) {
    return wait_until([&, enough = heard_ + refused_ + count] { return heard_ + refused_ >= enough; });
  }
  [[nodiscard]] std::uint32_t refused() const { return refused_; }

 private:
  std::atomic<bool> enough_{false};
  std::atomic<std::uint32_t> heard_{0};
  std::atomic<std::uint32_t> refused_{0};
  std::thread thread_;
};

bool is_refused(std::uint16_t port) {
  try {
    Peer::connect_to(port);
    return false;
  } catch (const std::exception&) {
    return true;
  }
}

}  // namespace

TEST_CASE("limits, networks and times change for those who come; who is there stays") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  proxy.configured.proxy.max_client_connections = 1;
  REQUIRE(proxy.reload() == "");
  CHECK(sqlstate_of(proxy.connect()) == "53300");
  check_alive(session);
  proxy.configured.proxy.max_client_connections = 10;
  REQUIRE(proxy.reload() == "");
  proxy.establish(proxy.a);

  proxy.configured.clusters[0].allow = {"10.0.0.0/8"};
  REQUIRE(proxy.reload() == "");
  CHECK(sqlstate_of(proxy.connect()) == "28000");
  check_alive(session);
  proxy.configured.clusters[0].allow = {"127.0.0.0/8"};
  REQUIRE(proxy.reload() == "");
  proxy.establish(proxy.a);

  proxy.route_nowhere(2);
  proxy.configured.proxy.hold_timeout = 10ms;
  REQUIRE(proxy.reload() == "");
  CHECK(sqlstate_of(proxy.connect()) == "08001");
}

TEST_CASE("no_route: the listeners follow") {
  ProxyUnderTest proxy;
  proxy.route_nowhere(1);
  proxy.configured.proxy.no_route = NoRoutePolicy::kRefuse;
  REQUIRE(proxy.reload() == "");
  CHECK(is_refused(proxy.port()));
  proxy.configured.proxy.no_route = NoRoutePolicy::kHold;
  REQUIRE(proxy.reload() == "");
  Peer held = proxy.connect();
  held.send(startup_message());
  CHECK(wait_until([&] { return proxy.stats().held == 1; }));
}

TEST_CASE("another address: the old one is closed, who had connected there is served") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  std::vector<Peer> waiting;
  for (int count = 0; count < 20; ++count) waiting.push_back(proxy.connect());
  proxy.configured.clusters[0].listen.host = "127.0.0.2";
  REQUIRE(proxy.reload() == "");
  CHECK(is_refused(proxy.port()));
  check_alive(session);
  for (auto& client : waiting) {
    client.send(startup_message());
    proxy.a.accept().receive(startup_message().size());
  }
  CHECK(proxy.stats().accepted == 21);
}

TEST_CASE("an address that was left is free for good, although a child has the old socket still") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  const std::uint16_t port = proxy.port();
  // As a program that is started is until it has become another: with a copy of every descriptor.
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  proxy.configured.clusters[0].listen.host = "127.0.0.2";
  const std::string moved = proxy.reload();
  const bool refused = is_refused(port);
  proxy.configured.clusters[0].listen = {"127.0.0.1", port};
  const std::string back = proxy.reload();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(moved == "");
  CHECK(refused);
  REQUIRE(back == "");
  proxy.establish(proxy.a);
}

TEST_CASE("two clusters change ports: nobody is refused, and each port leads where the other one did") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  proxy.publish({.epoch = 1, .target = RouteTarget{"b", {"127.0.0.1", proxy.b.port()}}, .reason = ""}, "d");
  auto session = proxy.establish(proxy.a);
  const std::uint16_t first = proxy.port_of("c");
  const std::uint16_t second = proxy.port_of("d");
  proxy.configured.clusters[0].listen.port = first;
  proxy.configured.clusters[1].listen.port = second;
  REQUIRE(proxy.reload() == "");
  const auto check_ports = [&](std::uint16_t of_a, std::uint16_t of_b) {
    Peer to_a = Peer::connect_to(of_a);
    to_a.send(startup_message());
    proxy.a.accept().receive(startup_message().size());
    Peer to_b = Peer::connect_to(of_b);
    to_b.send(startup_message());
    proxy.b.accept().receive(startup_message().size());
  };
  check_ports(first, second);
  {
    Knocking knocking({first, second});
    for (int round = 0; round < 20; ++round) {
      REQUIRE(knocking.wait_for_more(10));
      std::swap(proxy.configured.clusters[0].listen.port, proxy.configured.clusters[1].listen.port);
      REQUIRE(proxy.reload() == "");
    }
    REQUIRE(knocking.wait_for_more(10));
    CHECK(knocking.refused() == 0);
  }
  check_ports(first, second);
  std::swap(proxy.configured.clusters[0].listen.port, proxy.configured.clusters[1].listen.port);
  REQUIRE(proxy.reload() == "");
  check_ports(second, first);
  CHECK(proxy.port_of("c") == second);
  check_alive(session);
  // The one takes the other's place, which goes.
  proxy.configured.clusters[0].listen.port = first;
  proxy.configured.clusters.pop_back();
  REQUIRE(proxy.reload() == "");
  CHECK(is_refused(second));
  Peer client = Peer::connect_to(first);
  client.send(startup_message());
  proxy.a.accept().receive(startup_message().size());
}

TEST_CASE("an address that overlaps with the old one: nobody is refused, and nobody else gets the port") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const std::uint16_t port = proxy.port();
  proxy.configured.clusters[0].listen = {"127.0.0.1", port};
  REQUIRE(proxy.reload() == "");
  {
    Knocking knocking({port});
    for (const char* host : {"0.0.0.0", "127.0.0.1", "::", "0.0.0.0", "::", "127.0.0.1", "0.0.0.0"}) {
      CAPTURE(host);
      REQUIRE(knocking.wait_for_more(10));
      proxy.configured.clusters[0].listen.host = host;
      REQUIRE(proxy.reload() == "");
      REQUIRE(knocking.wait_for_more(10));
    }
    CHECK(knocking.refused() == 0);
  }
  check_alive(session);
  Peer client = proxy.connect();
  client.send(startup_message());
  proxy.a.accept().receive(startup_message().size());
  const auto address = numeric_socket_addresses({"127.0.0.1", port}).at(0);
  CHECK_FALSE(Socket::bind_to(address, Socket::FamilyShare::kBoth));
}

TEST_CASE("where a reload is refused, nobody else gets the port either") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  const PeerListener taken;
  proxy.configured.clusters[0].listen = {"0.0.0.0", proxy.port()};
  proxy.configured.clusters[1].listen.port = taken.port();
  CHECK(proxy.reload().find("cluster \"d\": could not listen on") == 0);
  for (const char* host : {"127.0.0.1", "0.0.0.0"})
    CHECK_FALSE(Socket::bind_to(numeric_socket_addresses({host, proxy.port()}).at(0), Socket::FamilyShare::kBoth));
  proxy.establish(proxy.a);
}

TEST_CASE("a cluster that is removed ends its sessions with the reason, and comes back; the other one goes on") {
  ProxyUnderTest proxy;
  proxy.route_to_a(3);
  proxy.publish({.epoch = 1, .target = RouteTarget{"b", {"127.0.0.1", proxy.b.port()}}, .reason = ""}, "d");
  auto session = proxy.establish(proxy.a);
  Peer other = Peer::connect_to(proxy.port_of("d"));
  other.send(startup_message());
  Peer other_server = proxy.b.accept();
  other_server.receive(startup_message().size());

  const ClusterConfig removed = proxy.configured.clusters[0];
  proxy.configured.clusters.erase(proxy.configured.clusters.begin());
  REQUIRE(proxy.reload() == "");
  const auto error = last_error(session.client.receive_to_end());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M') == "terminating connection: cluster \"c\" was removed from the configuration of pgkeel");
  CHECK(error.field('H').starts_with("This address is served no more"));
  CHECK(is_refused(proxy.port()));
  other_server.send(login_answer(7, "seven"));
  CHECK(other.receive(login_answer(7, "seven").size()) == login_answer(7, "seven"));

  proxy.configured.clusters.push_back(removed);
  REQUIRE(proxy.reload() == "");
  proxy.route_to_a(3);
  Peer back = Peer::connect_to(proxy.port_of("c"));
  back.send(startup_message());
  proxy.a.accept().receive(startup_message().size());
}

TEST_CASE("a new cluster is served by every worker") {
  ProxyUnderTest proxy;
  ClusterConfig added = proxy.configured.clusters[0];
  added.name = "e";
  added.nodes[0].name = "new";
  proxy.configured.clusters.push_back(added);
  REQUIRE(proxy.reload() == "");
  proxy.publish({.epoch = 1, .target = RouteTarget{"new", {"127.0.0.1", proxy.a.port()}}, .reason = ""}, "e");
  for (int count = 0; count < 8; ++count) {
    Peer client = Peer::connect_to(proxy.port_of("e"));
    client.send(startup_message());
    proxy.a.accept().receive(startup_message().size());
  }
}

TEST_CASE("what cannot be had is refused whole") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto session = proxy.establish(proxy.a);
  const PeerListener taken;
  proxy.configured.proxy.max_client_connections = 1;
  proxy.configured.clusters[0].allow = {"10.0.0.0/8"};
  proxy.configured.clusters[1].listen.port = taken.port();
  CHECK(proxy.reload().find("cluster \"d\": could not listen on") == 0);
  proxy.establish(proxy.a);
  check_alive(session);
  proxy.configured.clusters[1].listen.port = 0;
  proxy.configured.clusters[1].client_tls = {ClientTlsMode::kRequire, "/nowhere/cert", "/nowhere/key", ""};
  CHECK(proxy.reload().find("cluster \"d\": ") == 0);
  proxy.establish(proxy.a);
}

TEST_CASE("the read-only endpoint comes, moves and goes; the write endpoint does not notice") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  auto writer = proxy.establish(proxy.a);
  proxy.configured.clusters[0].listen_read_only = {"127.0.0.1", 0};
  REQUIRE(proxy.reload() == "");
  const Route reads{.epoch = 1,
                    .target = std::nullopt,
                    .reason = "a is the primary",
                    .readers = {proxy.reader("b", ProxyUnderTest::As::kStandby)}};
  const std::string answer = login_answer(4712, "\1\2\3\4"sv, "on");
  const auto establish_reader = [&] {
    Peer client = proxy.connect_read_only();
    client.send(startup_message());
    Peer server = proxy.b.accept();
    server.receive(startup_message().size());
    server.send(answer);
    REQUIRE(client.receive(answer.size()) == answer);
    return ProxyUnderTest::Established{std::move(client), std::move(server)};
  };
  proxy.publish_read_only(reads);
  auto reader = establish_reader();

  const std::uint16_t first_port = proxy.read_only_port();
  proxy.configured.clusters[0].listen_read_only.host = "127.0.0.2";
  REQUIRE(proxy.reload() == "");
  CHECK(is_refused(first_port));
  check_alive(reader);

  proxy.configured.clusters[0].listen_read_only = {};
  REQUIRE(proxy.reload() == "");
  const auto error = last_error(reader.client.receive_to_end());
  CHECK(error.field('C') == "57P01");
  CHECK(error.field('M') ==
        "terminating connection: the read-only endpoint of cluster \"c\" was removed from the configuration of pgkeel");
  CHECK(error.field('H').starts_with("This address is served no more: connect to the one for writes"));
  check_alive(writer);

  proxy.configured.clusters[0].listen_read_only = {"127.0.0.1", 0};
  REQUIRE(proxy.reload() == "");
  proxy.publish_read_only(reads);
  auto back = establish_reader();
  check_alive(back);
  proxy.publish_read_only({.epoch = 2, .target = {}, .reason = "c failed"});
  CHECK(last_error(back.client.receive_to_end()).field('H').find("same address") != std::string::npos);
}

TEST_CASE("tell_client_address: whoever connects from then on is told of") {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  proxy.establish(proxy.a);
  proxy.configured.clusters[0].tell_client_address = true;
  REQUIRE(proxy.reload() == "");
  Peer client = proxy.connect();
  client.send(startup_message());
  Peer server = proxy.a.accept();
  const std::string seen =
      untyped(int16_bytes(3) + int16_bytes(0) + zero_terminated("user") + zero_terminated("alice") +
              zero_terminated("application_name") + zero_terminated("127.0.0.1") + '\0');
  CHECK(server.receive(seen.size()) == seen);
}
