// PostgreSQL's warning that it did not wait for a standby: where a cancel or a shutdown hits a backend in the wait of a
// commit for synchronous replication, the commit is acknowledged although it may be on no other server. Pure.
//
// Its text is translated, and its SQLSTATEs (01000 after a cancel, 57P01 before the end of the session) are those of
// other warnings too. What is neither is the place in PostgreSQL's source from where it comes: field R, the function,
// is the last one of every report.
#pragma once

#include <array>
#include <cstddef>

#include "proxy/base/bytes.h"

namespace pgkeel {

// `notice` is a NoticeResponse, or its end.
bool tells_of_interrupted_wait(Bytes notice);

// A NoticeResponse that comes in parts.
class NoticeInParts {
 public:
  // The first part, header included, of a message that is longer.
  void begin(Bytes part);

  [[nodiscard]] bool under_way() const { return bytes_left_ > 0; }

  // The next bytes of the stream; returns how many of them belong to it.
  std::size_t add(Bytes bytes);

  // When all of it was there.
  [[nodiscard]] bool tells_of_interrupted_wait() const { return pgkeel::tells_of_interrupted_wait(end_); }

 private:
  void keep_end(Bytes bytes);

  std::size_t bytes_left_ = 0;
  std::array<std::byte, 32> end_{};  // of what was there so far
};

}  // namespace pgkeel
