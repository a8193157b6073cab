#include "proxy/io/knock.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <netinet/in.h>
#include <optional>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A socket on loopback; it listens only where told to, and else keeps its port from others.
struct LocalPort {
  explicit LocalPort(bool listens) : descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    number = ntohs(address.sin_port);
    if (listens) REQUIRE(listen(descriptor, 8) == 0);
  }
  ~LocalPort() { close(descriptor); }

  int descriptor;
  std::uint16_t number = 0;
};

Knock::Outcome knock(const std::vector<SocketAddress>& addresses) {
  Loop loop;
  std::optional<Knock::Outcome> outcome;
  {
    Knock knock(loop, {"a", 5432}, addresses, [&](Knock::Outcome result) { outcome = std::move(result); });
    CHECK_FALSE(outcome.has_value());  // never from inside the constructor
    REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
  }
  return *outcome;
}

std::vector<SocketAddress> at(const std::string& host, std::uint16_t port) {
  return numeric_socket_addresses({host, port});
}

Knock::Outcome knock(const std::string& host, std::uint16_t port) {
  return knock(at(host, port));
}

}  // namespace

TEST_CASE("a port that listens opens, one that does not refuses") {
  const LocalPort open(true);
  const LocalPort shut(false);
  CHECK(knock("127.0.0.1", open.number).result == KnockResult::kOpened);
  const auto refused = knock("127.0.0.1", shut.number);
  CHECK(refused.result == KnockResult::kRefused);
  CHECK(refused.detail == "connect to a:5432: Connection refused");
}

TEST_CASE("of several addresses one that opens is enough, and our own trouble with another is no matter") {
  const LocalPort open(true);
  const LocalPort shut(false);
  const auto both = [](std::uint16_t port) {
    return std::vector{at("127.0.0.2", port).front(), at("127.0.0.1", port).front()};
  };
  CHECK(knock(both(open.number)).result == KnockResult::kOpened);
  CHECK(knock(both(shut.number)).result == KnockResult::kRefused);
  SocketAddress impossible = at("127.0.0.1", shut.number).front();
  impossible.storage.ss_family = AF_MAX;
  CHECK(knock({impossible, at("127.0.0.1", shut.number).front()}).result == KnockResult::kRefused);
  CHECK(knock({impossible}).result == KnockResult::kOwnTrouble);
}

TEST_CASE("a Unix socket that nobody serves, or that is gone, refuses") {
  std::string folder = "/tmp/pgkeel-knock-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  CHECK(knock(folder, 5432).result == KnockResult::kRefused);

  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder + "/.s.PGSQL.5432").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(knock(folder, 5432).result == KnockResult::kRefused);
  REQUIRE(listen(descriptor, 8) == 0);
  CHECK(knock(folder, 5432).result == KnockResult::kOpened);
  close(descriptor);
  CHECK(knock(folder, 5432).result == KnockResult::kRefused);
  std::filesystem::remove_all(folder);
}

TEST_CASE("being out of descriptors is our own trouble") {
  const LocalPort shut(false);
  Loop loop;
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next_free = fcntl(0, F_DUPFD_CLOEXEC, 0);
  close(next_free);
  const rlimit none{static_cast<rlim_t>(next_free), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::optional<Knock::Outcome> outcome;
  const Knock knock(loop, {"a", 5432}, at("127.0.0.1", shut.number),
                    [&](Knock::Outcome result) { outcome = std::move(result); });
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
  CHECK(outcome->result == KnockResult::kOwnTrouble);
}

TEST_CASE("errors of connect(2) are sorted by whom they speak of") {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, ENETUNREACH, ENETDOWN, EADDRNOTAVAIL, EACCES, EPERM}) {
    CHECK(classify_connect_error(error) == KnockResult::kOwnTrouble);
  }
  for (const int error : {ECONNREFUSED, ENOENT}) CHECK(classify_connect_error(error) == KnockResult::kRefused);
  for (const int error : {ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN, EAGAIN, ECONNRESET}) {
    CHECK(classify_connect_error(error) == KnockResult::kNoAnswer);
  }
  CHECK(classify_connect_error(0) == KnockResult::kOpened);
}

TEST_CASE("a knock that is given up says nothing") {
  const LocalPort open(true);
  Loop loop;
  bool called = false;
  {
    const Knock knock(loop, {"a", 5432}, at("127.0.0.1", open.number), [&](const Knock::Outcome&) { called = true; });
  }
  bool later = false;
  loop.defer([&] { later = true; });
  REQUIRE(run_until(loop, [&] { return later; }));
  CHECK_FALSE(called);
}
