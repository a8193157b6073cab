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

TEST_CASE("history files are named by eight hexadecimal digits") {
  CHECK(timeline_history_file(26) == "0000001A.history");
}

TEST_CASE("two histories part where the first of them left their last common timeline") {
  const TimelineHistory first{{}, 1};
  const TimelineHistory second{{{1, Lsn{100}}}, 2};
  const TimelineHistory third{{{1, Lsn{100}}, {2, Lsn{200}}}, 3};
  SUBCASE("the old primary and the promoted standby") {
    const auto common = common_timeline(first, second);
    CHECK(common->timeline == 1);
    CHECK(common->end == Lsn{100});
  }
  SUBCASE("the same timeline") {
    CHECK_FALSE(common_timeline(third, third)->end.has_value());
  }
  SUBCASE("a server that missed two failovers") {
    CHECK(common_timeline(first, third)->timeline == 1);
    CHECK(common_timeline(second, third)->timeline == 2);
    CHECK(common_timeline(third, second)->end == Lsn{200});
  }
  SUBCASE("two promotions that took the same number") {
    const auto common = common_timeline(second, {{{1, Lsn{90}}}, 2});
    CHECK(common->timeline == 1);
    CHECK(common->end == Lsn{90});
  }
  SUBCASE("a fork of its own") {
    const auto common = common_timeline({{{1, Lsn{100}}, {2, Lsn{150}}}, 4}, third);
    CHECK(common->timeline == 2);
    CHECK(common->end == Lsn{150});
  }
  SUBCASE("nothing in common") {
    CHECK_FALSE(common_timeline(first, {{}, 2}).has_value());
  }
}
