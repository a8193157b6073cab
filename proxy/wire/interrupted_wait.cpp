#include "proxy/wire/interrupted_wait.h"

#include <algorithm>
#include <string_view>

#include "proxy/wire/frame.h"

namespace pgkeel {
namespace {

using namespace std::string_view_literals;

// The end of the field before it, the field, the end of the message. A zero can stand in none of the other fields.
constexpr std::string_view kEndOfTheWarning = "\0RSyncRepWaitForLSN\0\0"sv;

}  // namespace

bool tells_of_interrupted_wait(Bytes notice) {
  return as_text(notice).ends_with(kEndOfTheWarning);
}

void NoticeInParts::begin(Bytes part) {
  static_assert(std::tuple_size_v<decltype(end_)> >= kEndOfTheWarning.size());
  end_ = {};
  bytes_left_ = read_uint32(part.subspan(1, 4)) + 1 - part.size();
  keep_end(part);
}

std::size_t NoticeInParts::add(Bytes bytes) {
  const std::size_t count = std::min(bytes_left_, bytes.size());
  keep_end(bytes.first(count));
  bytes_left_ -= count;
  return count;
}

void NoticeInParts::keep_end(Bytes bytes) {
  const Bytes fresh = bytes.last(std::min(bytes.size(), end_.size()));
  std::shift_left(end_.begin(), end_.end(), static_cast<std::ptrdiff_t>(fresh.size()));
  std::copy(fresh.begin(), fresh.end(), end_.end() - static_cast<std::ptrdiff_t>(fresh.size()));
}

}  // namespace pgkeel
