#include "proxy/wire/startup.h"

#include <algorithm>

namespace pgkeel {
namespace {

constexpr std::uint32_t kCancelRequestCode = 80877102;
constexpr std::uint32_t kSslRequestCode = 80877103;
constexpr std::uint32_t kGssEncryptionRequestCode = 80877104;
constexpr std::size_t kCancelHeaderBytes = 12;
constexpr std::byte kTlsHandshakeRecord{0x16};

}  // namespace

Result<std::size_t> startup_packet_size(Bytes first_four) {
  const std::size_t size = read_uint32(first_four);
  if (size < 8 || size > kStartupPacketBytesMax) return Error{"invalid length of startup packet"};
  return size;
}

bool begins_like_tls(Bytes first_bytes) {
  return !first_bytes.empty() && first_bytes.front() == kTlsHandshakeRecord;
}

std::string build_ssl_request() {
  std::string packet;
  append_uint32(packet, 8);
  append_uint32(packet, kSslRequestCode);
  return packet;
}

std::string build_cancel_request(const CancelKey& key) {
  std::string packet;
  append_uint32(packet, static_cast<std::uint32_t>(kCancelHeaderBytes + key.secret.size()));
  append_uint32(packet, kCancelRequestCode);
  append_uint32(packet, key.process_id);
  return packet + key.secret;
}

std::string startup_parameter(Bytes packet, std::string_view name) {
  constexpr std::size_t kParametersAt = 8;
  std::string_view rest = as_text(packet.subspan(std::min(packet.size(), kParametersAt)));
  while (!rest.empty() && rest.front() != '\0') {
    const std::size_t name_end = rest.find('\0');
    if (name_end == std::string_view::npos) break;
    const std::size_t value_end = rest.find('\0', name_end + 1);
    if (value_end == std::string_view::npos) break;
    if (rest.substr(0, name_end) == name) return std::string(rest.substr(name_end + 1, value_end - name_end - 1));
    rest.remove_prefix(value_end + 1);
  }
  return {};
}

Result<StartupPacket> parse_startup(Bytes packet) {
  if (packet.size() < 8) return Error{"invalid length of startup packet"};
  const std::uint32_t code = read_uint32(packet.subspan(4, 4));
  if (code == kSslRequestCode || code == kGssEncryptionRequestCode) {
    if (packet.size() != 8) return Error{"invalid length of encryption request"};
    if (code == kSslRequestCode) return StartupPacket(SslRequest{});
    return StartupPacket(GssEncryptionRequest{});
  }
  if (code == kCancelRequestCode) {
    if (packet.size() < kCancelHeaderBytes + 4 || packet.size() > kCancelHeaderBytes + kCancelSecretBytesMax) {
      return Error{"invalid length of cancel request"};
    }
    return StartupPacket(
        CancelRequest{{read_uint32(packet.subspan(8, 4)), std::string(as_text(packet.subspan(kCancelHeaderBytes)))}});
  }
  const auto major = static_cast<std::uint16_t>(code >> 16);
  const auto minor = static_cast<std::uint16_t>(code & 0xFFFFU);
  if (major != 3) return StartupPacket(UnsupportedProtocol{major, minor});
  return StartupPacket(StartupMessage{minor});
}

}  // namespace pgkeel
