// Clients that speak the replication protocol, and PostgreSQL's own programs for it, through the access point.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/e2e/single_fixture.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

void require_success(const ProgramResult& result) {
  REQUIRE_MESSAGE(result.exit_status == 0, result.output << result.error_output);
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("replication commands work on physical and on logical replication connections") {
  const Single single;
  const Rows direct = SqlConnection(single.server->conninfo() + " replication=true").query("IDENTIFY_SYSTEM");
  for (const char* kind : {"replication=true", "replication=database"}) {
    CAPTURE(kind);
    SqlConnection client(single.pgkeel.conninfo(kind));
    const Rows rows = client.query("IDENTIFY_SYSTEM");
    REQUIRE(rows.size() == 1);
    CHECK(rows[0][0] == direct[0][0]);
    CHECK(rows[0][1] == "1");
    CHECK(client.value("SHOW server_version") == single.server->value("SHOW server_version"));
  }
}

TEST_CASE("pg_recvlogical streams changes") {
  const Single single({.settings = {"wal_level = logical"}});
  SqlConnection writer(single.pgkeel.conninfo());
  writer.query("CREATE TABLE changed (id int PRIMARY KEY, line text)");
  require_success(single.run_through(
      {"pg_recvlogical", "--slot=changes", "--create-slot", "--plugin=test_decoding", "--dbname=postgres"}));
  writer.query("INSERT INTO changed SELECT number, 'row ' || number FROM generate_series(1, 1000) AS number");
  writer.query("UPDATE changed SET line = 'updated' WHERE id = 500");
  const std::string end = writer.value("SELECT pg_current_wal_lsn()");
  const std::string file = single.folder.path() + "/changes";
  require_success(single.run_through({"pg_recvlogical", "--slot=changes", "--start", "--endpos=" + end,
                                      "--file=" + file, "--dbname=postgres", "--no-loop"}));
  const std::string changes = text_of(file);
  CHECK(changes.find("table public.changed: INSERT: id[integer]:1000 line[text]:'row 1000'") != std::string::npos);
  CHECK(changes.find("table public.changed: UPDATE: id[integer]:500 line[text]:'updated'") != std::string::npos);
  require_success(single.run_through({"pg_recvlogical", "--slot=changes", "--drop-slot", "--dbname=postgres"}));
}

TEST_CASE("pg_receivewal streams WAL, the same bytes that the server has") {
  const Single single;
  SqlConnection writer(single.pgkeel.conninfo());
  const std::string folder = single.folder.path() + "/wal";
  std::filesystem::create_directory(folder);
  writer.query("SELECT pg_create_physical_replication_slot('wal', true)");
  writer.query("CREATE TABLE filled AS SELECT repeat('x', 1000) FROM generate_series(1, 30000)");
  const std::string end = writer.value("SELECT pg_switch_wal()");
  require_success(single.run_through(
      {"pg_receivewal", "--slot=wal", "--directory=" + folder, "--endpos=" + end, "--no-loop", "--no-sync"}));
  std::size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".partial")) continue;
    CAPTURE(name);
    const std::string own = text_of(single.server->data_directory() + "/pg_wal/" + name);
    CHECK((text_of(entry.path()) == own));
    ++compared;
  }
  CHECK(compared >= 1);
}

TEST_CASE("pg_basebackup makes a copy whose every file is right") {
  const Single single;
  SqlConnection(single.pgkeel.conninfo())
      .query("CREATE TABLE filled AS SELECT repeat('x', 1000) FROM generate_series(1, 30000)");
  for (const char* format : {"plain", "tar"}) {
    CAPTURE(format);
    const std::string folder = single.folder.path() + "/" + format;
    require_success(
        single.run_through({"pg_basebackup", "--pgdata=" + folder, "--checkpoint=fast", "--wal-method=stream",
                            "--no-sync", std::string("--format=") + format, "--manifest-checksums=SHA256"}));
    if (std::string_view(format) == "plain") require_success(single.run_through({"pg_verifybackup", folder}));
  }
}
