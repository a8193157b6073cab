#include "proxy/base/lsn.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("an LSN prints as pg_lsn does and reads back") {
  const Lsn lsn{0x16B374D848ULL};
  CHECK(format_lsn(lsn) == "16/B374D848");
  CHECK(parse_lsn("16/B374D848") == lsn);
  CHECK(parse_lsn("ffffffff/FFFFFFFF") == Lsn{0xFFFFFFFFFFFFFFFFULL});
}

TEST_CASE("what is no LSN is refused") {
  for (const char* text : {"", "/", "1", "1/", "/1", "g/1", "1/1 ", " 1/1", "1/123456789", "-1/1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_lsn(text).has_value());
  }
}
