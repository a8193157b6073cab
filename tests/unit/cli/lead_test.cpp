#include "proxy/cli/lead.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("who leads is told, and for how long nobody did") {
  CHECK(lead_text(R"({"accepted": true, "leader": "two", "without_leader_ms": 12.4})") ==
        "pgkeel two leads; for 12 ms nobody did\n");
  CHECK(lead_text(R"({"accepted": true, "leader": "two"})") == "pgkeel two leads\n");
}
