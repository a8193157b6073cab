#include "proxy/io/postmaster_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::size_t kFileBytesMax = 65536;

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<PostmasterFile> read_postmaster_file(const std::string& data_directory) {
  const auto text = read_file(data_directory + "/postmaster.pid", kFileBytesMax);
  if (!text) return std::nullopt;
  std::array<std::string_view, 8> lines;
  std::string_view rest = *text;
  for (auto& line : lines) {
    line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    while (line.ends_with(' ') || line.ends_with('\r')) line.remove_suffix(1);
  }
  const auto pid = number_in<pid_t>(lines[0]);
  if (!pid || *pid <= 1) return std::nullopt;  // negative: a single-user server
  PostmasterFile found;
  found.pid = *pid;
  found.started_at = number_in<std::int64_t>(lines[2]);
  found.port = number_in<std::uint16_t>(lines[3]);
  found.socket_folder = lines[4];
  found.status = lines[7];
  return found;
}

}  // namespace pgkeel
