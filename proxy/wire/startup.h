// The packets that may open a connection, before there are typed messages (manual, "Message Flow", "Start-up"). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "proxy/base/bytes.h"
#include "proxy/base/result.h"

namespace pgkeel {

constexpr std::size_t kStartupPacketBytesMax = 10000;  // as PostgreSQL's MAX_STARTUP_PACKET_LENGTH
constexpr std::size_t kCancelSecretBytesMax = 256;     // protocol 3.2; 3.0 has exactly 4

// What the server gave a client to cancel its queries with (BackendKeyData).
struct CancelKey {
  std::uint32_t process_id = 0;
  std::string secret;

  friend bool operator==(const CancelKey&, const CancelKey&) = default;
};

struct SslRequest {};
struct GssEncryptionRequest {};
struct CancelRequest {
  CancelKey key;
};
struct StartupMessage {  // passed on as it came; the server judges its parameters and the minor version
  std::uint16_t minor_version = 0;
};
struct UnsupportedProtocol {
  std::uint16_t major_version = 0;
  std::uint16_t minor_version = 0;
};
using StartupPacket =
    std::variant<SslRequest, GssEncryptionRequest, CancelRequest, StartupMessage, UnsupportedProtocol>;

// The size of the whole packet from its first four bytes. An error for what is no startup packet at all: a TLS
// ClientHello, HTTP, noise.
Result<std::size_t> startup_packet_size(Bytes first_four);

// The first byte of a ClientHello: a client of PostgreSQL 17 and up may begin TLS without asking.
bool begins_like_tls(Bytes first_bytes);

// What a client, or we, ask a server for TLS with; it answers with one byte.
std::string build_ssl_request();
constexpr char kTlsAccepted = 'S';
constexpr char kTlsRefused = 'N';

// What asks a server to cancel what the session with this key does.
std::string build_cancel_request(const CancelKey& key);

// A parameter of a StartupMessage; empty: it has none of that name.
std::string startup_parameter(Bytes packet, std::string_view name);

// `packet` is whole, its length included.
Result<StartupPacket> parse_startup(Bytes packet);

}  // namespace pgkeel
