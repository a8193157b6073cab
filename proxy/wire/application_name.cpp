#include "proxy/wire/application_name.h"

#include <algorithm>

#include "proxy/base/bytes.h"
#include "proxy/wire/startup.h"

namespace pgkeel {
namespace {

constexpr std::string_view kName = "application_name";
constexpr std::string_view kBetween = " - ";
constexpr std::size_t kParametersAt = 8;

// Not inside of a character of UTF-8.
std::string_view cut_to(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

std::string name_with(std::string_view name, std::string_view address) {
  if (name.empty() || name == address) return std::string(address);
  const bool ends_so = name.ends_with(std::string(kBetween) + std::string(address));
  if (ends_so && name.size() <= kApplicationNameBytesMax) return std::string(name);
  const std::size_t taken = kBetween.size() + address.size();
  const std::size_t room = kApplicationNameBytesMax - std::min(kApplicationNameBytesMax, taken);
  return std::string(cut_to(name, room)) + std::string(kBetween) + std::string(address);
}

}  // namespace

std::string with_client_address(std::string startup_packet, std::string_view address) {
  const Bytes packet = as_bytes(startup_packet);
  const std::string name = startup_parameter(packet, kName);
  const bool named_by_options = startup_parameter(packet, "options").find(kName) != std::string::npos;
  if (!startup_parameter(packet, "replication").empty() || (name.empty() && named_by_options)) return startup_packet;

  std::string parameters;
  std::string_view rest = std::string_view(startup_packet).substr(std::min(startup_packet.size(), kParametersAt));
  while (!rest.empty() && rest.front() != '\0') {
    const std::size_t key_end = rest.find('\0');
    const std::size_t value_end = key_end == std::string_view::npos ? key_end : rest.find('\0', key_end + 1);
    if (value_end == std::string_view::npos) return startup_packet;  // the server will say what is wrong with it
    if (rest.substr(0, key_end) != kName) parameters += rest.substr(0, value_end + 1);
    rest.remove_prefix(value_end + 1);
  }
  if (rest.size() != 1) return startup_packet;
  parameters += kName;
  parameters += '\0';
  parameters += name_with(name, address);
  parameters.append(2, '\0');
  const std::size_t size = kParametersAt + parameters.size();
  if (size > kStartupPacketBytesMax) return startup_packet;
  std::string rewritten;
  append_uint32(rewritten, static_cast<std::uint32_t>(size));
  rewritten += std::string_view(startup_packet).substr(4, 4);
  return rewritten + parameters;
}

}  // namespace pgkeel
