#include "proxy/cli/admin_client.h"

#include <doctest/doctest.h>

#include "tests/support/peer.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("an endpoint that listens but does not answer is told from one that is not there") {
  PeerListener listener;
  Config config;
  config.admin.listen = {"127.0.0.1", listener.port()};
  const std::string where = "127.0.0.1:" + std::to_string(listener.port());
  const auto silent = ask_admin(config, "/api/v1/clusters", 100ms);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().message.starts_with(where + " ([admin] listen) listens but does not answer within 100ms"));
  listener.close();
  const auto absent = ask_admin(config, "/api/v1/clusters");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.starts_with("no pgkeel answers at " + where));
}
