// `pgkeel restart` where the new program is no good: it cannot be executed, crashes, ends or hangs. The old process
// goes on, says why, and is followed by a good one later.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "proxy/io/detached_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// As a package manager does it: the file that runs is not written to.
void replace_file(const std::string& path, const std::string& by) {
  std::filesystem::rename(by, path);
}

void replace_by_text(const std::string& path, const std::string& text, bool is_executable) {
  std::ofstream(path + ".new") << text;
  if (is_executable) std::filesystem::permissions(path + ".new", std::filesystem::perms(0755));
  replace_file(path, path + ".new");
}

}  // namespace

TEST_CASE("a new program that is no good leaves the old process as it is, and a good one takes over later") {
  const TemporaryFolder folder;
  const std::string program = folder.path() + "/pgkeel";
  std::filesystem::copy_file(PGKEEL_BINARY, program);
  PgkeelOptions options;
  options.program = program;
  Cluster cluster(std::vector<std::string>{}, options);
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  SqlConnection session(pgkeel.conninfo());
  session.query("CREATE TEMPORARY TABLE kept AS SELECT 42 AS answer");

  struct Case {
    const char* name;
    std::string text;
    bool is_executable;
    std::string told;
  };
  const std::vector<Case> cases = {
      {"not executable", "#!/bin/sh\n", false, program + " cannot be executed: Permission denied"},
      {"no program", "half of a download", true, program + " cannot be executed: Exec format error"},
      {"crashes", "#!/bin/sh\nkill -SEGV $$\n", true, "ended before it took over"},
      {"ends", "#!/bin/sh\nexit 0\n", true, "ended before it took over"},
      {"hangs", "#!/bin/sh\nexec sleep 1000\n", true, "said nothing for 15s, and was ended"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.name);
    replace_by_text(program, one.text, one.is_executable);
    const VerbResult verb = run_pgkeel({"restart", "--config", pgkeel.config_file()});
    CHECK(verb.exit_status == 1);
    CHECK_MESSAGE(verb.error_output.find(one.told) != std::string::npos, verb.error_output);
    CHECK(process_of(pgkeel)["pid"] == pgkeel.pid());
    CHECK(process_of(pgkeel)["handover_is_under_way"] == false);
    CHECK(has_event(pgkeel, one.told));
    CHECK(session.value("SELECT answer FROM kept") == "42");
    CHECK(SqlConnection(pgkeel.conninfo()).value("SELECT 1") == "1");
  }

  std::filesystem::copy_file(PGKEEL_BINARY, program + ".new");
  replace_file(program, program + ".new");
  const VerbResult verb = run_pgkeel({"restart", "--config", pgkeel.config_file()});
  CHECK_MESSAGE(verb.exit_status == 0, verb.error_output << pgkeel.describe());
  const auto pid = process_of(pgkeel).value("pid", 0);
  const auto successor = open_process(pid);
  CHECK(pid != pgkeel.pid());
  CHECK(session.value("SELECT answer FROM kept") == "42");
  CHECK(wait_until([&] { return !pgkeel.running(); }));
  if (successor && pid != pgkeel.pid()) kill_process(*successor);
}
