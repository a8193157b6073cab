// Where one PostgreSQL message ends and the next begins (manual, "Message Formats": a type byte, a length, a body).
// Pure; one tracker per direction of a session, used by that session's thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "proxy/base/bytes.h"

namespace pgkeel {

constexpr std::size_t kMessageHeaderBytes = 5;
constexpr std::uint32_t kMessageLengthMax = 0x3fffffff;  // PostgreSQL's own limit: MaxAllocSize

// Messages up to this size, header included, are passed on whole, so that what was queued ends between two messages.
constexpr std::size_t kWholeMessageBytes = 8192;
// Errors are read to their end, and it is at the end that they say where they come from.
constexpr std::size_t kWholeErrorBytes = 32768;

// A letter means another message when the other side says it: 'E' is a server's ErrorResponse, a client's Execute.
enum class MessageSender : std::uint8_t { kClient, kServer };

// Walks headers; counts, never stores a body. What it calls passable is what may be queued to the other side now, and
// at_boundary() speaks of exactly these bytes: true means that an ErrorResponse may follow them.
class BoundaryTracker {
 public:
  explicit BoundaryTracker(MessageSender sender) : sender_(sender) {}

  struct Advance {
    std::size_t passable = 0;  // the first bytes that may be passed on; the rest is the beginning of a message
    bool violation = false;    // a length that cannot be, right behind the passable bytes
  };

  // `bytes` begin with what the last call did not call passable. For each message that begins in the passable bytes,
  // visit(type, message) is called; `message` has its header, and is cut short where a message is too big to wait for.
  // Where it returns false, nothing behind this message is passable, and no other is visited.
  template <class Byte, class Visitor>
  Advance advance(std::span<Byte> bytes, Visitor&& visit) {
    std::size_t position = std::min<std::size_t>(bytes.size(), message_left_);
    message_left_ -= position;
    while (bytes.size() - position >= kMessageHeaderBytes) {
      const std::uint32_t length = read_uint32(bytes.subspan(position + 1, 4));
      if (length < 4 || length > kMessageLengthMax) return {.passable = position, .violation = true};
      const std::size_t total = std::size_t{length} + 1;
      const std::size_t available = bytes.size() - position;
      const bool is_error = sender_ == MessageSender::kServer && static_cast<char>(bytes[position]) == 'E';
      if (total > available && total <= (is_error ? kWholeErrorBytes : kWholeMessageBytes)) break;
      const std::size_t part = std::min(total, available);
      const bool go_on = visit(static_cast<char>(bytes[position]), bytes.subspan(position, part));
      position += part;
      message_left_ = total - part;
      if (!go_on) break;
    }
    return {.passable = position, .violation = false};
  }

  [[nodiscard]] bool at_boundary() const { return message_left_ == 0; }

 private:
  MessageSender sender_;
  std::size_t message_left_ = 0;  // of a message that was begun and not yet passed on to its end
};

}  // namespace pgkeel
