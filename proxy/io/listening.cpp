#include "proxy/io/listening.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/ip_address.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::string_view kListenState = "0A";

std::vector<IpAddress> numbers_of(const std::string& host) {
  if (const auto address = parse_ip_address(host)) return {*address};
  if (host == "localhost") return {*parse_ip_address("127.0.0.1"), *parse_ip_address("::1")};
  return {};
}

bool is_any(const IpAddress& address) {
  return address == IpAddress{} || address == *parse_ip_address("0.0.0.0");
}

template <class Number>
std::optional<Number> hexadecimal(std::string_view text) {
  Number number{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The kernel prints each word of the address as a number of this machine's byte order.
std::optional<IpAddress> address_of(std::string_view text) {
  IpAddress address = text.size() == 8 ? *parse_ip_address("0.0.0.0") : IpAddress{};
  if (text.size() != 8 && text.size() != 32) return std::nullopt;
  std::size_t position = text.size() == 8 ? 12 : 0;
  for (; !text.empty(); text.remove_prefix(8), position += 4) {
    const auto word = hexadecimal<std::uint32_t>(text.substr(0, 8));
    if (!word) return std::nullopt;
    std::memcpy(address.bytes.data() + position, &*word, sizeof *word);
  }
  return address;
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

bool listens_in_table(std::string_view table, const HostPort& address) {
  const auto wanted = numbers_of(address.host);
  while (!table.empty()) {
    auto line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(table.size(), line.size() + 1));
    next_word(line);
    const auto local = next_word(line);
    next_word(line);
    const auto colon = local.find(':');
    if (next_word(line) != kListenState || colon == std::string_view::npos) continue;
    if (hexadecimal<std::uint16_t>(local.substr(colon + 1)) != address.port) continue;
    const auto listener = address_of(local.substr(0, colon));
    if (listener && (is_any(*listener) || std::ranges::find(wanted, *listener) != wanted.end())) return true;
  }
  return false;
}

bool somebody_listens_at(const HostPort& address) {
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const auto table = read_file(path);
    if (table && listens_in_table(*table, address)) return true;
  }
  return false;
}

}  // namespace pgkeel
