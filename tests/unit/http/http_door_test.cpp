// Who gets past the door of an HttpServer, and who does not. Nothing here depends on how fast anything is.
#include "proxy/http/http_door.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/socket.h"
#include "tests/support/peer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tls_peer.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr Duration kEnough = 5min;  // however busy the machine is

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

struct Door {
  Door() {
    std::signal(SIGPIPE, SIG_IGN);
    const Validity validity{wall_now() - 1h, wall_now() + 24h};
    const auto authority = make_authority(validity).value();
    const auto issued = issue_certificate(authority, {CertificateRole::kProxy, {"127.0.0.1"}, validity}).value();
    options.certificate_file = folder.path() + "/pgkeel.crt";
    options.key_file = folder.path() + "/pgkeel.key";
    options.offers_postgresql = false;
    REQUIRE(write_durably(options.certificate_file, issued.certificate_pem));
    REQUIRE(write_durably(options.key_file, issued.key_pem));
    acceptor = TlsAcceptor::open(
                   {{"ca", authority.certificate_pem}, {"cert", issued.certificate_pem}, {"key", issued.key_pem}},
                   CertificateRole::kProxy)
                   .value();
    REQUIRE(listening.start_listening());
  }

  [[nodiscard]] std::uint16_t port() const { return listening.bound_port(); }

  // However long it takes until `condition` holds.
  template <class Condition>
  void turn_until(Condition condition) {
    const Instant deadline = monotonic_now() + kEnough;
    while (!condition()) {
      REQUIRE(monotonic_now() < deadline);
      door.turn(10ms);
      most_descriptors = std::max(most_descriptors, open_descriptors());
    }
  }

  // The one guest, which asks for something.
  void answer_guest() {
    REQUIRE(guests.size() == 1);
    TlsSession& tls = *guests.front().tls;
    std::array<char, 3> asked{};
    REQUIRE(tls.read(asked.data(), asked.size()) == 3);
    CHECK(std::string(asked.data(), asked.size()) == "GET");
    CHECK(tls.write("OK", 2) == 2);
  }

  TemporaryFolder folder;
  TlsPeerOptions options;
  std::shared_ptr<const TlsAcceptor> acceptor;
  Socket listening =
      Socket::bind_to(numeric_socket_addresses({"127.0.0.1", 0}).front(), Socket::FamilyShare::kBoth).value();
  std::vector<HttpGuest> guests;
  std::size_t most_descriptors = 0;
  HttpDoor door{listening.descriptor(), [this] { return acceptor; },
                [this](HttpGuest guest) { guests.push_back(std::move(guest)); }};
};

// Another pgkeel, which waits for as long as it takes, and comes again when it is turned away, until it is answered.
class Caller {
 public:
  explicit Caller(const Door& door)
      : thread_([port = door.port(), options = door.options](const std::stop_token& stop) {
          while (!stop.stop_requested() && !is_answered(port, options)) {
          }
        }) {}

 private:
  static bool is_answered(std::uint16_t port, const TlsPeerOptions& options) {
    try {
      TlsPeer peer(Peer::connect_to(port), options);
      peer.shake_hands();
      peer.send("GET");
      return peer.receive(2) == "OK";
    } catch (const std::exception&) {
      return false;
    }
  }

  std::jthread thread_;
};

std::vector<Peer> come(std::uint16_t port, std::size_t number, const std::string& words) {
  std::vector<Peer> peers;
  while (peers.size() < number) {
    peers.push_back(Peer::connect_to(port));
    peers.back().send_what_fits(words);
  }
  return peers;
}

}  // namespace

TEST_CASE("a pgkeel is let in while strangers stand at the door, and no stranger ever is") {
  const std::string hello = TlsPeer(Peer()).take_output();
  std::string words;
  SUBCASE("who say nothing") {}
  SUBCASE("who begin a handshake, and leave it in the middle of a message") {
    words = hello.substr(0, 20);
  }
  SUBCASE("who begin a handshake, and leave it there") {
    words = hello;
  }
  SUBCASE("who talk nonsense") {
    words = std::string(20'000, 'x');
  }
  SUBCASE("who announce a record that is longer than any") {
    words = std::string("\x16\x03\x01\xff\xff", 5) + std::string(20'000, 'x');
  }
  SUBCASE("who speak HTTP without TLS") {
    words = "GET / HTTP/1.1\r\n\r\n";
  }
  Door door;
  const auto strangers = come(door.port(), 100, words);
  const Caller caller(door);
  door.turn_until([&] { return !door.guests.empty(); });
  door.answer_guest();
  door.turn_until([&] {
    return std::all_of(strangers.begin(), strangers.end(),
                       [](const Peer& each) { return each.has_something_to_read(); });
  });
  CHECK(door.guests.size() == 1);
}

TEST_CASE("no more descriptors are taken than there are places, and who comes when all are taken waits for one") {
  raise_descriptor_limit();
  const std::size_t places = door_places(descriptor_limit());
  Door door;
  const auto strangers = come(door.port(), places + 200, "");
  const std::size_t before = open_descriptors();
  // Fewer turns than anybody at the door is given, and more than it takes to let in as many as there are places.
  int turns = 0;
  door.turn_until([&] { return ++turns > 12; });
  CHECK(door.most_descriptors == before + places);
  const Caller caller(door);
  door.turn_until([&] { return !door.guests.empty(); });
  door.answer_guest();
  CHECK(door.most_descriptors <= before + places + 2);  // both ends of the caller's connection
}
