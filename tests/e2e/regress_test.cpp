// PostgreSQL's own regression driver, pg_regress, with a schedule of ours (tests/e2e/regress): what psql shows must be
// the same on the server itself and through the access point.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/e2e/single_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// It belongs to what extensions are built with: beside pgxs.mk, .../lib/pgxs/src/makefiles/pgxs.mk.
std::string pg_regress(const Single& single) {
  const ProgramResult found = single.run({"pg_config", "--pgxs"}, single.server->port());
  std::string path = found.output;
  path.erase(path.find_last_not_of('\n') + 1);
  path = std::filesystem::path(path).parent_path().parent_path() / "test/regress/pg_regress";
  REQUIRE_MESSAGE(std::filesystem::exists(path), path << ": install postgresql-server-dev (deploy/install-deps)");
  return path;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void check_schedule(const Single& single, const std::string& name, std::uint16_t port) {
  CAPTURE(name);
  const std::string output = single.folder.path() + "/" + name;
  std::filesystem::create_directory(output);
  const auto result = run_program(
      {.arguments = {pg_regress(single), "--bindir=" + bin_directory(), "--host=127.0.0.1",
                     "--port=" + std::to_string(port), "--user=postgres", "--inputdir=" PGKEEL_REGRESS_FOLDER,
                     "--outputdir=" + output, "--schedule=" PGKEEL_REGRESS_FOLDER "/schedule"},
       .limit = std::chrono::minutes(3),
       .environment = {"LC_ALL=C"},
       .working_directory = output});
  REQUIRE(result);
  CHECK_MESSAGE(result->exit_status == 0,
                result->output << result->error_output << text_of(output + "/regression.diffs"));
  CHECK(result->output.find("tests passed") != std::string::npos);
}

}  // namespace

TEST_CASE("pg_regress: the schedule passes on the server itself and through the access point") {
  const Single single;
  check_schedule(single, "direct", single.server->port());
  check_schedule(single, "through", single.pgkeel.port());
  CHECK(single.pgkeel.status()["sessions"]["closed_without_error_at_unclean_boundary"] == 0);
}
