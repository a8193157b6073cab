// What planned work costs clients that write all the time: the switch back to the preferred node, a stop and a start.
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/route_errors.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kWriters = 4;

void check_done(const VerbResult& verb) {
  INFO(verb.output);
  INFO(verb.error_output);
  CHECK(verb.exit_status == 0);
}

}  // namespace

TEST_CASE("a stop and a start, and the switch back to the preferred node: one error a session, no row is lost") {
  // All has to be well for a minute before anything is switched back; the other cluster is stopped and started
  // meanwhile.
  Cluster preferring({"b"}, {.cluster_lines = {"preferred = \"b\""}});
  Writers waiting(preferring.pgkeel->conninfo(), kWriters);

  Cluster stopped;
  const auto& pgkeel = *stopped.pgkeel;
  Writers writers(pgkeel.conninfo(), kWriters);
  REQUIRE(writers.wait_for_more(50));
  check_done(pgkeel.run_verb({"stop", "test", "--yes"}));
  REQUIRE(
      pgkeel.wait_for([](const auto& now) { return now["sessions"]["errors_by_sqlstate"].value("57P03", 0) >= 1; }));
  check_done(pgkeel.run_verb({"start", "test", "--yes"}));
  REQUIRE_MESSAGE(writers.wait_for_more(50), pgkeel.describe());
  stopped.require_normal("a");
  writers.stop();
  CHECK(writers.count_lost(stopped.server("a").conninfo()) == 0);
  CHECK(most_route_errors_of_one(writers) <= 1);
  CHECK_FALSE(writers.connect_errors().empty());
  for (const auto& error : writers.connect_errors()) {
    CAPTURE(error);
    CHECK(error.find("an operator stopped the cluster") != std::string::npos);
  }
  stopped.check_roles("a");

  REQUIRE(waiting.wait_for_more(50));
  CHECK(preferring.pgkeel->status()["failovers"] == 0);
  REQUIRE_MESSAGE(preferring.pgkeel->wait_normal("b", 120s), preferring.pgkeel->describe());
  REQUIRE(waiting.wait_for_more(50));
  waiting.stop();
  CHECK(waiting.count_lost(preferring.server("b").conninfo()) == 0);
  CHECK(most_route_errors_of_one(waiting) <= 1);
  CHECK(waiting.connect_errors().empty());
  CHECK(preferring.pgkeel->status()["switchovers"] == 1);
  CHECK(preferring.pgkeel->status()["failovers"] == 0);
  preferring.check_roles("b");
}
