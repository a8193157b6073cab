// `pgkeel demo`, as a user runs it; and several clusters in one pgkeel.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <signal.h>

#include <doctest/doctest.h>

#include "proxy/io/background_process.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/support/verb.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_empty(const std::string& folder) {
  return std::filesystem::directory_iterator(folder) == std::filesystem::directory_iterator();
}

}  // namespace

TEST_CASE("the demo shows a failover without a lost row, and leaves nothing behind") {
  const TemporaryFolder folder;
  const auto demo = run_pgkeel({"demo"}, {"TMPDIR=" + folder.path()}, 5min);
  CAPTURE(demo.output);
  CAPTURE(demo.error_output);
  CHECK(demo.exit_status == 0);
  for (const char* promised :
       {"evidence", "decision", "promotion", "first write", "57P01", "lost: 0", "a standby of b, streaming"}) {
    CAPTURE(promised);
    CHECK(demo.output.find(promised) != std::string::npos);
  }
  CHECK(is_empty(folder.path()));
}

TEST_CASE("the demo that is kept prints a psql line that works, and Ctrl-C removes it all") {
  const TemporaryFolder folder;
  const TemporaryFolder demo_folder;
  const std::string output_file = folder.path() + "/output";
  auto demo = BackgroundProcess::start(
      {"/usr/bin/env", "TMPDIR=" + demo_folder.path(), PGKEEL_BINARY, "demo", "--keep"}, output_file);
  REQUIRE(demo);
  REQUIRE_MESSAGE(
      wait_until([&] { return content_of(output_file).find("Ctrl-C removes it all") != std::string::npos; }, 5min),
      content_of(output_file));
  const std::string output = content_of(output_file);
  const auto password_at = output.find("PGPASSWORD=") + 11;
  const std::string password = output.substr(password_at, output.find(' ', password_at) - password_at);
  const auto conninfo_at = output.find("psql \"") + 6;
  const std::string conninfo = output.substr(conninfo_at, output.find('"', conninfo_at) - conninfo_at);
  CHECK(SqlConnection(conninfo + " password=" + password).value("SELECT pg_is_in_recovery()") == "f");
  ::kill(demo->pid(), SIGINT);
  CHECK(wait_until([&] { return !demo->running(); }, 60s));
  CHECK(is_empty(demo_folder.path()));
}

TEST_CASE("a failover of one cluster does not touch the other one in the same process") {
  const TemporaryFolder folder;
  const auto first = PostgresServer::primary(folder, "a");
  const auto first_standby = PostgresServer::standby_of(*first, "b");
  ServerOptions apart;
  apart.own_system_identifier = true;
  const auto second = PostgresServer::primary(folder, "c", apart);
  PgkeelOptions options;
  options.more_clusters = {{"other", {second.get()}}};
  PgkeelProcess pgkeel(folder, {first.get(), first_standby.get()}, options);
  pgkeel.start();
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  REQUIRE_MESSAGE(wait_until([&] { return pgkeel.status("other").value("condition", "") == "normal"; }),
                  pgkeel.describe());
  SqlConnection other("host=127.0.0.1 port=" + std::to_string(pgkeel.port("other")) + " user=postgres dbname=postgres");
  CHECK(other.value("SELECT count(*) FROM pg_stat_replication") == "0");
  first->kill_tree();
  REQUIRE_MESSAGE(pgkeel.wait_normal("b"), pgkeel.describe());
  CHECK(other.value("SELECT 1") == "1");
  CHECK(pgkeel.status("other")["epoch"] == 1);
}
