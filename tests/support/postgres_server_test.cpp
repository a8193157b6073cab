#include "tests/support/postgres_server.h"

#include <csignal>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

using namespace pgkeel::test;

TEST_CASE("a standby replicates, and both survive a killed process tree") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  primary->query("CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
  CHECK(primary->wait_caught_up("b"));
  CHECK(standby->value("SELECT x FROM t") == "1");
  CHECK(primary->is_primary());
  CHECK_FALSE(standby->is_primary());

  primary->kill_tree();
  CHECK_FALSE(primary->is_running());
  CHECK_THROWS_AS(primary->query("SELECT 1"), SqlError);
  primary->start();
  CHECK(primary->value("SELECT x FROM t") == "1");
  CHECK(primary->wait_streams("b"));
}

TEST_CASE("a frozen server still runs, and can be thawed") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->freeze_tree();
  CHECK(server->is_running());
  server->thaw_tree();
  CHECK(server->value("SELECT 1") == "1");
}

TEST_CASE("a killed test process leaves neither servers nor folders behind") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const TemporaryFolder folder;
    const auto server = PostgresServer::primary(folder, "a");
    const auto length = write(ends[1], folder.path().data(), folder.path().size());
    _exit(length > 0 && raise(SIGKILL) == 0 ? 1 : 0);
  }
  close(ends[1]);
  std::string path(4096, '\0');
  const auto length = read(ends[0], path.data(), path.size());
  REQUIRE(length > 0);
  path.resize(static_cast<std::size_t>(length));
  waitpid(child, nullptr, 0);
  CHECK(wait_until([&] { return !std::filesystem::exists(path); }));
}
