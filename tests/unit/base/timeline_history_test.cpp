#include "proxy/base/timeline_history.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("timeline history files are read, and what is none is refused") {
  CHECK(parse_timeline_history("")->empty());
  CHECK(*parse_timeline_history("# a comment\n1\t0/10\tx y z") == std::vector<TimelineFork>{{1, Lsn{0x10}}});
  for (const char* text : {"x", "1", "1\tx", "-1\t0/1", "1 0/1\n1 0/2", "2 0/1\n1 0/2", "99999999999 0/1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_timeline_history(text).has_value());
  }
}
