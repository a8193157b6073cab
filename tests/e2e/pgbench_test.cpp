// pgbench, with fifty clients, through the access point: no transaction fails, and the books balance.
#include "tests/e2e/single_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

std::string one_line(const ProgramResult& result) {
  return "exit status " + std::to_string(result.exit_status) + "\n" + result.output + result.error_output;
}

void check_run(const Single& single, const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {"pgbench", "--client=50", "--jobs=2", "--no-vacuum"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const ProgramResult result = single.run_through(arguments);
  REQUIRE_MESSAGE(result.exit_status == 0, one_line(result));
  CHECK_MESSAGE(result.error_output.find("aborted") == std::string::npos, one_line(result));
  CHECK_MESSAGE(result.output.find("number of failed transactions: 0 (") != std::string::npos, one_line(result));
  CHECK_MESSAGE(result.output.find("number of transactions actually processed: 0") == std::string::npos,
                one_line(result));
}

}  // namespace

TEST_CASE("pgbench: simple, extended and prepared, and a connection for each transaction") {
  const Single single;
  const ProgramResult made = single.run_through({"pgbench", "--initialize", "--scale=5", "--quiet"});
  REQUIRE_MESSAGE(made.exit_status == 0, one_line(made));
  CHECK(single.server->value("SELECT count(*) FROM pgbench_accounts") == "500000");

  for (const char* protocol : {"simple", "extended", "prepared"}) {
    CAPTURE(protocol);
    check_run(single, {"--time=4", "--protocol", protocol});
  }
  check_run(single, {"--time=4", "--connect"});

  // Each transaction adds one amount in three places, and writes it down.
  const std::string amount = single.server->value("SELECT sum(delta) FROM pgbench_history");
  for (const char* table : {"pgbench_accounts", "pgbench_tellers", "pgbench_branches"}) {
    CAPTURE(table);
    const std::string column = std::string(1, table[sizeof("pgbench_") - 1]) + "balance";
    CHECK(single.server->value("SELECT sum(" + column + ") FROM " + table) == amount);
  }
  CHECK(single.pgkeel.status()["sessions"]["errors_by_sqlstate"].empty());
  CHECK(single.pgkeel.status()["sessions"]["closed_without_error_at_unclean_boundary"] == 0);
}
