#include "proxy/admin/token_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/random.h>
#include <sys/stat.h>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kLengthMin = 16;
constexpr std::size_t kFileBytesMax = 4096;

Result<std::string> random_token() {
  std::array<unsigned char, kRandomBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Error{std::string("no random bytes can be had: ") + std::strerror(errno)};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kDigits[byte >> 4];
    token += kDigits[byte & 15];
  }
  return token;
}

}  // namespace

Result<std::string> read_token(const std::string& path) {
  const std::string what = "[admin] token_file " + path;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Error{what + " cannot be read: " + std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return Error{what + " is not a file"};
  if ((status.st_mode & 0077) != 0)
    return Error{what + " can be read or written by others than its owner; `chmod 600 " + path + "`"};
  auto text = read_file(path, kFileBytesMax);
  if (!text) return Error{what + " cannot be read: " + text.error().message};
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text->empty() && is_blank(text->back())) text->pop_back();
  const bool printable = std::ranges::all_of(*text, [](char c) { return c > ' ' && c <= '~'; });
  if (text->size() < kLengthMin || !printable) {
    return Error{what + " holds no token of at least " + std::to_string(kLengthMin) +
                 " printable characters; remove it, and the next start of pgkeel makes a new one"};
  }
  return text;
}

Result<std::string> read_or_make_token(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) {
    const auto token = random_token();
    if (!token) return token.error();
    if (const auto written = write_durably(path, *token + "\n"); !written)
      return Error{"[admin] token_file " + path + " cannot be made: " + written.error().message};
  }
  return read_token(path);
}

}  // namespace pgkeel
