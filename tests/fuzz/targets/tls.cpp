// How TLS begins, on both sides of an access point: a client that asks for it, begins at once, or says something else;
// a server that answers something else than it should; and what comes in records, or among them, after a real
// handshake.
#include <ctime>
#include <optional>
#include <string>
#include <system_error>

#include "tests/fuzz/targets/access_point_harness.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;
using pgkeel::fuzz::AccessPointHarness;
using pgkeel::fuzz::Ground;
using pgkeel::fuzz::require;
using pgkeel::test::Peer;
using pgkeel::test::TlsPeer;
using pgkeel::test::TlsPeerOptions;

namespace {

constexpr int kPiecesMax = 60;
constexpr int kHandshakeTurnsMax = 20;
constexpr int kTls12 = 0x0303;
constexpr int kTcpLimitSeconds = 20;

// A server is on TCP, where the kernel of a busy machine may deliver later. Counted is the time in which this process
// was let to look: at idle priority it may get no processor for minutes.
class TcpLimit {
 public:
  [[nodiscard]] bool is_over() const { return std::clock() - begin_ > kTcpLimitSeconds * CLOCKS_PER_SEC; }

 private:
  std::clock_t begin_ = std::clock();
};

// Bytes of the input, as they are and one piece after the other.
void say_pieces(fuzz::Input& input, AccessPointHarness& harness, Peer& peer) {
  for (int pieces = 0; pieces < kPiecesMax && !input.empty() && peer.is_open(); ++pieces) {
    const std::uint8_t size = input.byte();
    fuzz::say(peer, size < 255 ? input.bytes(size) : input.text());
    harness.turn();
    fuzz::take_all(peer);
  }
}

// The same inside of TLS, with here and there a record that is damaged, or a piece that is in no record.
void say_records(fuzz::Input& input, AccessPointHarness& harness, TlsPeer& peer) {
  for (int pieces = 0; pieces < kPiecesMax && !input.empty() && peer.peer().is_open(); ++pieces) {
    const std::uint8_t kind = input.byte();
    const std::string text(input.text());
    if (kind < 16) {
      fuzz::say(peer.peer(), text);
    } else if (kind == 16 && peer.version() == "TLSv1.3") {
      try {
        peer.ask_for_key_update();
      } catch (const std::system_error&) {
        return;  // pgkeel has closed it meanwhile
      }
    } else if (!text.empty()) {
      std::string record = peer.encrypt(text);
      if (kind >= 224) record[kind % record.size()] = static_cast<char>(record[kind % record.size()] ^ 1);
      if (kind >= 200 && kind < 224) record.resize(record.size() / 2);
      fuzz::say(peer.peer(), record);
    }
    harness.turn();
    fuzz::take_all(peer.peer());
  }
}

bool wait_for_bytes(AccessPointHarness& harness, const Peer& peer) {
  const TcpLimit limit;
  while (peer.is_open() && !peer.has_something_to_read()) {
    if (limit.is_over()) return false;
    harness.turn();
  }
  return peer.is_open();
}

bool shake_hands(AccessPointHarness& harness, TlsPeer& peer) {
  for (int turns = 0; turns < kHandshakeTurnsMax; ++turns) {
    fuzz::say(peer.peer(), peer.take_output());
    harness.turn();
    if (peer.handshake_is_over()) return true;
    if (!peer.peer().is_open() || !peer.peer().has_something_to_read() || !peer.take_input()) return false;
  }
  return false;
}

void all_is_gone(AccessPointHarness& harness) {
  harness.turn();
  while (harness.accept()) harness.turn();
  // Who has said more than it was asked for waits for a server although it is gone, up to hold_timeout.
  harness.access_point().shut_down("the test ends");
  harness.turn();
  require(harness.access_point().empty(), "a session is left whose client is gone");
}

void clear_client(fuzz::Input& input, ClientTlsMode mode) {
  AccessPointHarness harness({.client_tls = mode});
  harness.lead_to_server();
  {
    Peer client = harness.connect();
    say_pieces(input, harness, client);
    const bool must = mode == ClientTlsMode::kRequire || mode == ClientTlsMode::kVerifyClient;
    if (must) require(!harness.accept(), "a client came through that did not encrypt");
  }
  all_is_gone(harness);
}

void encrypted_client(fuzz::Input& input, ClientTlsMode mode, bool old) {
  AccessPointHarness harness({.client_tls = mode});
  harness.lead_to_server();
  {
    Peer raw = harness.connect();
    fuzz::say(raw, ssl_request());
    harness.turn();
    require(fuzz::take_all(raw) == (mode == ClientTlsMode::kOff ? "N" : "S"), "no answer to an SSLRequest");
    TlsPeer client(std::move(raw), TlsPeerOptions{.newest_version = old ? kTls12 : 0});
    if (shake_hands(harness, client)) {
      require(mode != ClientTlsMode::kOff, "TLS that is off");
      say_records(input, harness, client);
      if (mode == ClientTlsMode::kVerifyClient) require(!harness.accept(), "a client came through that is nobody");
    }
  }
  all_is_gone(harness);
}

void server(fuzz::Input& input, bool encrypts, bool old) {
  AccessPointHarness harness({.server_tls = true});
  harness.lead_to_server();
  {
    Peer client = harness.connect();
    fuzz::say(client, startup_message());
    harness.turn();
    std::optional<Peer> raw;
    for (const TcpLimit limit; !raw && !limit.is_over(); raw = harness.accept()) harness.turn();
    require(raw.has_value(), "nobody came to the server");
    require(wait_for_bytes(harness, *raw) && raw->receive(8) == ssl_request(), "not asked for TLS");
    if (!encrypts) {
      say_pieces(input, harness, *raw);
      if (raw->is_open()) raw->reset();
    } else {
      fuzz::say(*raw, "S");
      TlsPeer server(std::move(*raw), TlsPeerOptions{.is_server = true,
                                                     .certificate_file = Ground::shared().cert,
                                                     .key_file = Ground::shared().key,
                                                     .newest_version = old ? kTls12 : 0});
      while (!server.handshake_is_over()) {
        require(wait_for_bytes(harness, server.peer()) && server.take_input(), "no TLS with the server");
        fuzz::say(server.peer(), server.take_output());
      }
      say_records(input, harness, server);
      if (server.peer().is_open()) server.peer().reset();  // no port of this machine is to be kept by a TIME_WAIT
    }
    const std::string heard = fuzz::take_all(client);
    require(encrypts || heard.empty() || heard.starts_with('E'), "words in clear were believed");
  }
  all_is_gone(harness);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t kind = input.byte();
  constexpr ClientTlsMode kModes[] = {ClientTlsMode::kAllow, ClientTlsMode::kRequire, ClientTlsMode::kVerifyClient,
                                      ClientTlsMode::kOff};
  const ClientTlsMode mode = kModes[kind >> 2 & 3U];
  const bool old = (kind & 16U) != 0;
  switch (kind & 3U) {
    case 0:
      clear_client(input, mode);
      break;
    case 1:
      encrypted_client(input, mode, old);
      break;
    case 2:
      server(input, false, old);
      break;
    default:
      server(input, true, old);
      break;
  }
  return 0;
}
