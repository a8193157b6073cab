#include "proxy/io/socket.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/un.h>
#include <thread>

#include <doctest/doctest.h>

#include "proxy/base/bytes.h"
#include "proxy/io/clock.h"
#include "proxy/io/link.h"
#include "proxy/io/loop.h"
#include "proxy/io/patient_bind.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;

TEST_CASE("numeric addresses and folders of Unix sockets need no look-up, names do") {
  CHECK(numeric_socket_addresses({"127.0.0.1", 5432}).at(0).ip() == parse_ip_address("127.0.0.1"));
  CHECK(numeric_socket_addresses({"::1", 5432}).at(0).ip() == parse_ip_address("::1"));
  CHECK(numeric_socket_addresses({"::1", 5432}).at(0).port() == 5432);
  CHECK(numeric_socket_addresses({"localhost", 5432}).empty());
  CHECK(numeric_socket_addresses({"", 5432}).empty());
  const auto folder = numeric_socket_addresses({"/run/postgresql", 5433});
  REQUIRE(folder.size() == 1);
  CHECK(folder[0].is_unix());
  const auto* path = reinterpret_cast<const sockaddr_un*>(&folder[0].storage)->sun_path;
  CHECK(std::string(path) == "/run/postgresql/.s.PGSQL.5433");
  CHECK(numeric_socket_addresses({"/" + std::string(200, 'x'), 5432}).empty());
}

TEST_CASE("a listener that stops keeps its port, and nobody can connect until it listens again") {
  const auto any_port = numeric_socket_addresses({"127.0.0.1", 0}).at(0);
  const auto port = Socket::bind_to(any_port, Socket::FamilyShare::kBoth)->bound_port();
  const auto address = any_port.with_port(port);
  auto listener = Socket::bind_to(address, Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  for (int round = 0; round < 3; ++round) {
    REQUIRE(listener->start_listening());
    CHECK(listener->bound_port() == port);
    CHECK(Socket::connect_to(address)->take_error() == 0);
    listener->stop_listening();
    CHECK(Socket::connect_to(address)->take_error() == ECONNREFUSED);
  }
}

TEST_CASE("a port that is in use is waited for while there is patience, and no longer") {
  const auto any_port = numeric_socket_addresses({"127.0.0.1", 0}).at(0);
  auto listener = Socket::bind_to(any_port, Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  REQUIRE(listener->start_listening());
  const auto address = any_port.with_port(listener->bound_port());
  for (const auto patience : {std::chrono::milliseconds(0), std::chrono::milliseconds(20)}) {
    const Instant began = monotonic_now();
    const auto refused = bind_once_free(address, Socket::FamilyShare::kBoth, patience);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EADDRINUSE);
    CHECK(monotonic_now() - began >= patience);
  }
  std::thread owner([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // nothing tells that somebody has tried to bind
    listener->close();
  });
  CHECK(bind_once_free(address, Socket::FamilyShare::kBoth, std::chrono::seconds(30)));
  owner.join();
}

TEST_CASE("a listener that was stopped twice accepts whole connections when it listens again") {
  auto listener = Socket::bind_to(numeric_socket_addresses({"127.0.0.1", 0}).at(0), Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  listener->stop_listening();
  REQUIRE(listener->start_listening());
  listener->stop_listening();
  listener->stop_listening();
  REQUIRE(listener->start_listening());
  const auto client = Socket::connect_to(numeric_socket_addresses({"127.0.0.1", listener->bound_port()}).at(0));
  REQUIRE(client);
  REQUIRE(listener->wait_for_connection(std::chrono::seconds(30)));
  const auto accepted = listener->accept_one();
  REQUIRE(accepted);
  char byte = 0;
  CHECK(::recv(accepted->first.descriptor(), &byte, 1, MSG_DONTWAIT) == -1);  // 0: as if the client had ended
  CHECK(errno == EAGAIN);
}

namespace {

unsigned acknowledge_limit(int descriptor) {
  unsigned milliseconds = 0;
  socklen_t size = sizeof milliseconds;
  getsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, &size);
  return milliseconds;
}

}  // namespace

// Linux ends a link at TCP_USER_TIMEOUT also where the peer answers every probe, and only does not read.
TEST_CASE("an address that this host does not have can be bound where it may come later") {
  for (const char* elsewhere : {"192.0.2.1", "2001:db8::1"}) {
    CAPTURE(elsewhere);
    const SocketAddress address = numeric_socket_addresses({elsewhere, 0}).at(0);
    const auto now = Socket::bind_to(address, Socket::FamilyShare::kBoth);
    REQUIRE_FALSE(now);
    if (now.error().code == EAFNOSUPPORT) continue;
    CHECK(now.error().code == EADDRNOTAVAIL);
    auto later = Socket::bind_to(address, Socket::FamilyShare::kBoth, Socket::HostAddress::kSomeTime);
    REQUIRE(later);
    CHECK(later->start_listening());
    CHECK(later->bound_port() != 0);
  }
}

TEST_CASE("a peer that does not read is not taken for one that is gone") {
  auto listener = Socket::bind_to(numeric_socket_addresses({"127.0.0.1", 0}).at(0), Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  REQUIRE(listener->start_listening());
  auto sender = Socket::connect_to(numeric_socket_addresses({"127.0.0.1", listener->bound_port()}).at(0));
  REQUIRE(sender);
  auto receiver = listener->accept_one();
  REQUIRE(receiver);
  sender->set_link_options();
  const int descriptor = sender->descriptor();
  const unsigned limit = acknowledge_limit(descriptor);
  CHECK(limit > 0);
  Loop loop;
  Link link(loop, std::move(*sender), [](FdInterest) {});
  link.review_acknowledge_limit();
  CHECK(acknowledge_limit(descriptor) == limit);

  std::string chunk(1 << 20, 'x');
  while (link.write(as_bytes(chunk)).kind == IoResult::Kind::kBytes) {
  }
  CHECK(test::wait_until([&] {
    link.review_acknowledge_limit();
    return acknowledge_limit(descriptor) == 0;
  }));
  // Nor by another process that takes over.
  auto duplicate = duplicate_socket(descriptor);
  REQUIRE(duplicate);
  duplicate->set_link_options();
  CHECK(acknowledge_limit(descriptor) == 0);

  CHECK(test::wait_until([&] {
    while (receiver->first.read(std::as_writable_bytes(std::span(chunk))).kind == IoResult::Kind::kBytes) {
    }
    link.review_acknowledge_limit();
    return acknowledge_limit(descriptor) == limit;
  }));
}

TEST_CASE(
    "a deaf listener leaves who connects without an answer, and hears the next attempt when it is not deaf any more") {
  const auto loopback = numeric_socket_addresses({"127.0.0.1", 0}).at(0);
  auto listener = Socket::bind_to(loopback, Socket::FamilyShare::kOwnFamilyOnly);
  REQUIRE(listener);
  REQUIRE(listener->start_listening());
  const auto address = numeric_socket_addresses({"127.0.0.1", listener->bound_port()}).at(0);
  const auto before = Socket::connect_to(address);
  REQUIRE(before);
  listener->turn_deaf();
  CHECK(listener->accept_one());  // it had connected
  auto client = Socket::connect_to(address);
  REQUIRE(client);
  pollfd answer{.fd = client->descriptor(), .events = POLLOUT, .revents = 0};
  CHECK(poll(&answer, 1, 100) == 0);
  REQUIRE(listener->start_listening());
  CHECK(test::wait_until([&] { return listener->accept_one().has_value(); }));
  CHECK(client->take_error() == 0);
}

TEST_CASE("a listener that is deaf to one of its addresses hears who connects to the others") {
  auto listener = Socket::bind_to(numeric_socket_addresses({"::", 0}).at(0), Socket::FamilyShare::kBoth);
  REQUIRE(listener);
  REQUIRE(listener->start_listening());
  const std::vector<std::string> addresses = {"127.0.0.1", "127.0.0.2", "::1"};
  const auto connect_to = [&](const std::string& host) {
    auto client = Socket::connect_to(numeric_socket_addresses({host, listener->bound_port()}).at(0));
    REQUIRE(client);
    return std::move(*client);
  };
  const auto is_answered = [](const Socket& client, int milliseconds) {
    pollfd answer{.fd = client.descriptor(), .events = POLLOUT, .revents = 0};
    return poll(&answer, 1, milliseconds) == 1;
  };
  for (const auto& deaf_to : addresses) {
    CAPTURE(deaf_to);
    listener->turn_deaf_to(parse_ip_address(deaf_to).value());
    for (const auto& host : addresses) {
      if (host != deaf_to) CHECK(is_answered(connect_to(host), 10'000));
    }
    CHECK_FALSE(is_answered(connect_to(deaf_to), 50));
  }
  listener->hear_everybody();
  for (const auto& host : addresses) CHECK(is_answered(connect_to(host), 10'000));
}
