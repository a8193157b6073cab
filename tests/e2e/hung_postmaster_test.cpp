// The postmaster hangs, its backends live: who is connected notices nothing, nobody else gets in.
#include <algorithm>
#include <signal.h>
#include <thread>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/raw_client.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

std::size_t events_with(const PgkeelProcess& pgkeel, const std::string& text) {
  const auto events = pgkeel.events();
  return static_cast<std::size_t>(std::ranges::count_if(events, [&](const auto& event) {
    return event["text"].template get<std::string>().find(text) != std::string::npos;
  }));
}

}  // namespace

TEST_CASE("a primary that answers probes but no login is told of, and not failed over") {
  Cluster cluster({"b"}, {.proxy_lines = {"hold_timeout = \"60s\""},
                          .cluster_lines = {},
                          .detection_lines = {"failure_timeout = \"2s\""}});
  const auto& pgkeel = *cluster.pgkeel;
  const auto epoch = pgkeel.status()["epoch"];
  SqlConnection connected(pgkeel.conninfo());
  REQUIRE(connected.value("SELECT 1") == "1");
  const pid_t postmaster = cluster.server("a").processes().front();
  REQUIRE(::kill(postmaster, SIGSTOP) == 0);
  RawClient first(pgkeel.port());
  RawClient second(pgkeel.port());
  const bool told = pgkeel.wait_for([](const auto& now) {
    return now["condition"] == "degraded" && now["nodes"][0]["note"].template get<std::string>().starts_with(
                                                 "accepts no new connections: a login got no answer for 2s");
  });
  CHECK(connected.value("SELECT 2") == "2");
  ::kill(postmaster, SIGCONT);
  REQUIRE_MESSAGE(told, pgkeel.describe());
  CHECK_FALSE(first.log_in().empty());
  CHECK_FALSE(second.log_in().empty());
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(connected.value("SELECT 3") == "3");
  CHECK(pgkeel.status()["epoch"] == epoch);
  CHECK(events_with(pgkeel, "accepts no new connections") == 1);
  CHECK(wait_until([&] { return events_with(pgkeel, "new connections are accepted again") == 1; }));
}

TEST_CASE("a primary that takes logins again is shown as such where no client comes any more") {
  Cluster cluster({"b"}, {.proxy_lines = {}, .cluster_lines = {}, .detection_lines = {"failure_timeout = \"2s\""}});
  const auto& pgkeel = *cluster.pgkeel;
  const pid_t postmaster = cluster.server("a").processes().front();
  REQUIRE(::kill(postmaster, SIGSTOP) == 0);
  bool told = false;
  {
    const RawClient gives_up(pgkeel.port());
    told = pgkeel.wait_for([](const auto& now) { return now["condition"] == "degraded"; });
  }
  ::kill(postmaster, SIGCONT);
  REQUIRE_MESSAGE(told, pgkeel.describe());
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(events_with(pgkeel, "accepts no new connections") == 1);
  CHECK(events_with(pgkeel, "new connections are accepted again") == 1);
}
