#include "proxy/admin/token_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <sstream>
#include <sys/random.h>
#include <sys/stat.h>
#include <utility>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kLengthMin = 16;
constexpr std::size_t kHolderLengthMax = 63;
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

bool is_printable(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// It is shown in events, and kept in the state.
bool may_be_holder(const std::string& name) {
  return name.size() <= kHolderLengthMax && std::ranges::all_of(name, [](char c) {
           const bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
           return is_alphanumeric || c == '.' || c == '_' || c == '@' || c == '-';
         });
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream text(line);
  return {std::istream_iterator<std::string>(text), {}};
}

}  // namespace

Result<AdminTokens> read_tokens(const std::string& path) {
  const std::string what = "[admin] token_file " + path;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Error{what + " cannot be read: " + std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return Error{what + " is not a file"};
  if ((status.st_mode & 0077) != 0)
    return Error{what + " can be read or written by others than its owner; `chmod 600 " + path + "`"};
  auto text = read_file(path, kFileBytesMax);
  if (!text) return Error{what + " cannot be read: " + text.error().message};
  AdminTokens tokens;
  std::istringstream lines(*text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with('#')) continue;
    const std::vector<std::string> words = words_of(line);
    if (words.empty()) continue;
    AdminToken token{.holder = words.size() == 2 ? words.front() : "", .text = words.back()};
    if (words.size() > 2 || (words.size() == 2 && !may_be_holder(token.holder))) {
      return Error{
          what + ", line " + std::to_string(number) +
          ": what stands there is neither a token nor a name (letters, digits and . _ @ -, at most 63) and a token"};
    }
    if (token.text.size() < kLengthMin || !is_printable(token.text)) {
      return Error{what + ", line " + std::to_string(number) + " holds no token of at least " +
                   std::to_string(kLengthMin) +
                   " printable characters; remove the file, and the next start of pgkeel makes a new one"};
    }
    tokens.push_back(std::move(token));
  }
  if (tokens.empty()) return Error{what + " holds no token; remove it, and the next start of pgkeel makes a new one"};
  return tokens;
}

Result<std::string> read_token(const std::string& path) {
  auto tokens = read_tokens(path);
  if (!tokens) return tokens.error();
  return std::move(tokens->front().text);
}

Result<AdminTokens> read_or_make_tokens(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) {
    const auto token = random_token();
    if (!token) return token.error();
    if (const auto written = write_durably(path, *token + "\n"); !written)
      return Error{"[admin] token_file " + path + " cannot be made: " + written.error().message};
  }
  return read_tokens(path);
}

}  // namespace pgkeel
