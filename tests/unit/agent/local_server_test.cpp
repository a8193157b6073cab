// LocalServer on real servers: looking, fencing, starting, and where the WAL ends.
#include "replication/agent/local_server.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stop_token>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/io/durable_file.h"
#include "proxy/io/os_user.h"
#include "replication/agent/lock_files.h"
#include "tests/support/postgres_server.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

LocalServer local(const PostgresServer& server) {
  return {server.name(), {"127.0.0.1", server.port()}, server.local()};
}

}  // namespace

TEST_CASE("a promotion that was cut off before it had a timeline of its own begins anew as a standby") {
  const TemporaryFolder folder;
  const auto primary = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*primary, "b");
  REQUIRE(primary->wait_caught_up("b"));
  standby->kill_tree();
  // As far as a promotion comes before pg_control knows of it.
  REQUIRE(std::filesystem::remove(standby->data_directory() + "/standby.signal"));
  const auto started = local(*standby).start_after_crash(60s);
  REQUIRE(started);
  CHECK(*started == "started after a crash, as a standby: its promotion had been cut off");
  CHECK_FALSE(standby->is_primary());
  standby->query("SELECT pg_promote()");
  REQUIRE(wait_until([&] { return standby->is_primary(); }));
  // One that is through stays what it is.
  standby->kill_tree();
  const auto again = local(*standby).start_after_crash(60s);
  REQUIRE(again);
  CHECK(*again == "started after a crash");
  CHECK(standby->is_primary());
  CHECK(standby->value("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)") == "00000002");
}

TEST_CASE("the lock files of a server that somebody has just started stay as they are; those of a dead one go") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const DataDirectory directory(server->local());
  const auto file = directory.file("postmaster.pid");
  const auto before = read_file(file);
  REQUIRE(before);
  CHECK_FALSE(remove_stale_lock_files(directory, server->port()));
  CHECK(*read_file(file) == *before);
  CHECK_FALSE(std::filesystem::exists(file + ".pgkeel-stale"));
  CHECK(server->value("SELECT 1") == "1");

  // The same number, and nobody of this server bears it.
  server->kill_tree();
  REQUIRE(std::filesystem::exists(file));
  CHECK(remove_stale_lock_files(directory, server->port()));
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK_FALSE(std::filesystem::exists(file + ".pgkeel-stale"));
  CHECK(remove_stale_lock_files(directory, server->port()));  // there is none: nobody starts it
}

TEST_CASE("a running server is seen with all its processes, and proven stopped after its end") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto state = local(*server).look();
  REQUIRE(state.postmaster_pid);
  CHECK(*state.postmaster_pid == server->processes().front());
  CHECK(state.other_pids.size() >= 4);
  CHECK(state.unidentified_pids.empty());
  CHECK_FALSE(state.proven_stopped());
  CHECK(state.data_directory_exists);
  CHECK_FALSE(state.has_standby_signal);
  server->stop();
  CHECK(local(*server).look().proven_stopped());
}

TEST_CASE("what only stands in the data directory, or has the postmaster's old number, is no server") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->kill_tree();
  const auto lock = folder.path() + "/.s.PGSQL." + std::to_string(server->port()) + ".lock";
  for (const auto& path : {server->data_directory() + "/postmaster.pid", lock}) {
    const auto text = *read_file(path);
    std::ofstream(path) << getpid() << text.substr(text.find('\n'));
  }
  const auto home = std::filesystem::current_path();
  std::filesystem::current_path(server->data_directory());
  CHECK(local(*server).look().proven_stopped());
  CHECK(local(*server).fence(10s));
  std::filesystem::current_path(home);
  // Nor does the number keep it from starting, as it keeps pg_ctl alone.
  REQUIRE(local(*server).start(60s));
  CHECK(server->value("SELECT 1") == "1");
}

TEST_CASE("a running server is fenced, and comes back after it") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->query("CREATE TABLE t (x int)");
  REQUIRE(local(*server).fence(20s));
  CHECK_FALSE(server->is_running());
  CHECK(local(*server).look().proven_stopped());
  CHECK(local(*server).fence(20s));  // once more is fine
  CHECK_FALSE(local(*server).control_data()->shut_down_cleanly());
  REQUIRE(local(*server).start(60s));
  CHECK(server->value("SELECT count(*) FROM t") == "0");
  CHECK(local(*server).start(60s));
}

TEST_CASE("a frozen server is fenced too") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->freeze_tree();
  REQUIRE(local(*server).fence(20s));
  CHECK_FALSE(server->is_running());
}

TEST_CASE("orphans of a dead postmaster are seen and fenced") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto processes = server->processes();
  // Frozen, they cannot notice that the postmaster is gone.
  for (std::size_t index = 1; index < processes.size(); ++index) kill(processes[index], SIGSTOP);
  kill(processes.front(), SIGKILL);
  REQUIRE(wait_until([&] { return !local(*server).look().postmaster_pid; }));
  const auto state = local(*server).look();
  CHECK(state.other_pids.size() >= 4);
  CHECK_FALSE(state.proven_stopped());
  CHECK_FALSE(local(*server).start(20s));
  REQUIRE(local(*server).fence(20s));
  CHECK(local(*server).look().proven_stopped());
}

TEST_CASE("fencing one server leaves its neighbour alone") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto neighbour = PostgresServer::primary(folder, "b");
  SqlConnection session(neighbour->conninfo());
  REQUIRE(local(*server).fence(20s));
  CHECK(session.value("SELECT 1") == "1");
}

TEST_CASE("a data directory that is not there proves nothing, and fences nobody") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  auto settings = server->local();
  settings.data_directory += "-typo";
  const LocalServer wrong("a", {"127.0.0.1", server->port()}, settings);
  CHECK_FALSE(wrong.look().proven_stopped());
  const auto fenced = wrong.fence(10s);
  REQUIRE_FALSE(fenced);
  CHECK(fenced.error().message.find("something listens at") != std::string::npos);
  server->kill_tree();
  CHECK_FALSE(wrong.look().proven_stopped());
  CHECK(wrong.fence(10s).error().message.find("is missing") != std::string::npos);
}

TEST_CASE("two nodes whose data directories were mixed up are not fenced in each other's place") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto neighbour = PostgresServer::primary(folder, "b");
  const LocalServer mixed_up("a", {"127.0.0.1", server->port()}, neighbour->local());
  const auto fenced = mixed_up.fence(10s);
  REQUIRE_FALSE(fenced);
  CHECK(fenced.error().message.find("the data directory of another node") != std::string::npos);
  CHECK(neighbour->value("SELECT 1") == "1");
  neighbour->kill_tree();
  CHECK_FALSE(mixed_up.look().proven_stopped());
  CHECK_FALSE(mixed_up.start(10s));
  CHECK_FALSE(neighbour->is_running());
}

TEST_CASE("of two that handle one data directory, the second is refused until the first is gone") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  auto first = std::make_optional(local(*server));
  REQUIRE(first->claim());
  const auto second = local(*server);
  REQUIRE_FALSE(second.claim());
  const auto fenced = second.fence(10s);
  REQUIRE_FALSE(fenced);
  CHECK(fenced.error().message.find("another pgkeel") != std::string::npos);
  CHECK(server->value("SELECT 1") == "1");
  first.reset();
  CHECK(second.fence(20s));
}

TEST_CASE("a server whose data directory cannot be claimed is fenced all the same, and nothing else is done to it") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  std::filesystem::create_symlink(folder.path() + "/elsewhere", server->data_directory() + ".pgkeel-lock");
  const auto node = local(*server);
  CHECK(node.doubt().empty());  // nobody else has it
  const auto stopped = node.stop(StopMode::kFast, 20s);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().message.starts_with("cannot lock " + server->data_directory() + ".pgkeel-lock"));
  CHECK(server->value("SELECT 1") == "1");
  CHECK(node.fence(20s));
  CHECK(server->processes().empty());
  CHECK_FALSE(node.start(20s));
  std::filesystem::remove(server->data_directory() + ".pgkeel-lock");
  CHECK(node.start(60s));
}

TEST_CASE("a start that takes long is broken off, and the server that goes on starting is found by a fence") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a", {.start = false});
  // Its recovery waits for a segment that never comes.
  server->append_setting("restore_command = 'sleep 600'");
  std::ofstream(server->data_directory() + "/standby.signal");
  std::stop_source start;
  std::jthread breaker([&] {
    CHECK(wait_until([&] { return local(*server).look().postmaster_pid.has_value(); }));
    start.request_stop();
  });
  const auto started = local(*server).until(start.get_token()).start(600s);
  breaker.join();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("broken off") != std::string::npos);
  CHECK(local(*server).fence(20s));
  CHECK(local(*server).look().proven_stopped());
  CHECK_FALSE(server->is_running());
}

TEST_CASE("a start that is broken off before it began starts nothing") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a", {.start = false});
  std::stop_source start;
  start.request_stop();
  CHECK_FALSE(local(*server).until(start.get_token()).start(60s));
  CHECK_FALSE(server->is_running());
}

TEST_CASE("a server that cannot start says why") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a", {.start = false});
  server->append_setting("shared_buffers = nonsense");
  const auto started = local(*server).start(20s);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("FATAL") != std::string::npos);
  CHECK_FALSE(server->is_running());
}

TEST_CASE("a server with its configuration elsewhere is started with it") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->kill_tree();
  // As Debian has it: the files in another folder, known only from how the server was started.
  const auto elsewhere = folder.path() + "/it's etc";
  std::filesystem::create_directory(elsewhere);
  for (const char* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    std::filesystem::rename(server->data_directory() + "/" + name, elsewhere + "/" + name);
  }
  std::ofstream(elsewhere + "/postgresql.conf", std::ios::app)
      << "data_directory = '" << server->data_directory() << "'\nhba_file = '" << folder.path()
      << "/it''s etc/pg_hba.conf'\nident_file = '" << folder.path() << "/it''s etc/pg_ident.conf'\n";
  std::ofstream(server->data_directory() + "/postmaster.opts", std::ios::trunc)
      << "/usr/bin/postgres \"-D\" \"" << server->data_directory() << "\" \"-c\" \"config_file=" << elsewhere
      << "/postgresql.conf\"\n";
  const auto started = local(*server).start(60s);
  REQUIRE_MESSAGE(started, started.error().message);
  CHECK(server->value("SHOW config_file") == elsewhere + "/postgresql.conf");
}

TEST_CASE("the end of the WAL is where the server had written to") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  server->query("CREATE TABLE t (x text)");
  for (int round = 0; round < 3; ++round) {
    server->query("INSERT INTO t SELECT repeat('x', 500) FROM generate_series(1, 5000)");
    if (round == 1) server->query("SELECT pg_switch_wal()");
  }
  const auto written = parse_lsn(server->value("SELECT pg_current_wal_insert_lsn()"));
  CHECK_FALSE(local(*server).examine()->proven_stopped);  // it runs
  server->kill_tree();
  const auto found = local(*server).examine();
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->proven_stopped);
  CHECK_FALSE(found->shut_down_cleanly);
  CHECK(found->timeline == 1);
  CHECK(found->end_of_wal >= *written);
  // PostgreSQL's own recovery ends there too, and says so (not where a page ends at just that place).
  server->start();
  const auto log = server->log_text();
  if (log.find("invalid magic number") == std::string::npos) {
    CHECK(log.find(" at " + format_lsn(found->end_of_wal) + ":") != std::string::npos);
  }
}

TEST_CASE("the end of the WAL of a cleanly stopped server is behind its shutdown checkpoint") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  const auto standby = PostgresServer::standby_of(*server, "b");
  server->stop();
  const auto found = local(*server).examine();
  REQUIRE(found);
  CHECK(found->shut_down_cleanly);
  CHECK(found->end_of_wal > local(*server).control_data()->checkpoint);
  // The standby has it all, so it ends at the same place: there it would fork off.
  CHECK(wait_until([&] { return parse_lsn(standby->value("SELECT pg_last_wal_receive_lsn()")) == found->end_of_wal; }));
  standby->kill_tree();
  CHECK(local(*standby).examine()->end_of_wal == found->end_of_wal);
}
