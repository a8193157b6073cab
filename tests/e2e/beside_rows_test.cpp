// What must survive a failover besides rows: prepared transactions, sequences, the physical slots of others. Logical
// slots do not, and are told of.
#include <filesystem>
#include <map>
#include <set>

#include "proxy/io/child_process.h"
#include "proxy/io/durable_file.h"
#include "tests/e2e/cluster_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

bool has_slot(const PostgresServer& server, const std::string& name) {
  return server.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '" + name + "'") == "1";
}

bool wait_for_slot(const PostgresServer& server, const std::string& name, bool there = true) {
  return wait_until([&] { return has_slot(server, name) == there; });
}

// Without the slot none of this would be there when its reader asks for it.
void write_and_recycle(const Cluster& cluster, const std::string& primary, const std::string& standby) {
  const auto& writer = cluster.server(primary);
  for (int round = 0; round < 3; ++round) {
    writer.query("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))");
    writer.query("SELECT pg_switch_wal()");
    writer.query("CHECKPOINT");
  }
  REQUIRE(writer.wait_caught_up(standby, 60s));
  cluster.server(standby).query("CHECKPOINT");
}

// The WAL archive of somebody who reads through the access point, with a slot of his own.
class Archive {
 public:
  explicit Archive(const Cluster& cluster) : cluster_(cluster), folder_(cluster.folder.path() + "/archive") {
    std::filesystem::create_directory(folder_);
  }

  // Reads all that the primary has written.
  void catch_up(const PostgresServer& primary) const {
    const std::string end = primary.value("SELECT pg_switch_wal()");
    primary.query("SELECT pg_logical_emit_message(true, 'past the end', '')");
    ProgramCall call{
        .arguments = {bin_directory() + "/pg_receivewal", "--slot=archive", "--directory=" + folder_, "--endpos=" + end,
                      "--no-loop", "--no-sync", "--dbname=" + cluster_.pgkeel->conninfo()},
        .limit = 2min,
        .environment = {"LC_ALL=C"}};
    const auto result = run_program(call);
    REQUIRE(result);
    REQUIRE_MESSAGE(result->exit_status == 0, result->output << result->error_output << cluster_.pgkeel->describe());
  }

  // No segment is missing, and each that the server still has is the same there.
  void check_gapless(const PostgresServer& primary) const {
    std::map<std::uint64_t, std::string> segments;  // by their number, whatever the timeline
    std::size_t compared = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".history")) continue;
      const std::uint64_t number =
          std::stoull(name.substr(8, 8), nullptr, 16) * 256 + std::stoull(name.substr(16, 8), nullptr, 16);
      segments[number] = name;
      const std::string there = primary.data_directory() + "/pg_wal/" + name;
      if (name.ends_with(".partial") || !std::filesystem::exists(there)) continue;
      CAPTURE(name);
      CHECK((read_file(entry.path()).value() == read_file(there).value()));
      ++compared;
    }
    REQUIRE_FALSE(segments.empty());
    CAPTURE(segments.begin()->second);
    CAPTURE(segments.rbegin()->second);
    CHECK(segments.rbegin()->first - segments.begin()->first + 1 == segments.size());
    CHECK(compared > 0);
  }

  [[nodiscard]] bool has_timeline(const std::string& timeline) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      if (name.starts_with(timeline) && !name.ends_with(".history")) return true;
    }
    return false;
  }

 private:
  const Cluster& cluster_;
  const std::string folder_;
};

bool has_event(const PgkeelProcess& pgkeel, const std::string& begin) {
  for (const auto& event : pgkeel.events()) {
    if (event["text"].get<std::string>().starts_with(begin)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("what belongs to a cluster besides rows comes through a failover, or is told of") {
  ServerOptions options;
  options.settings = {"wal_level = logical", "max_prepared_transactions = 10", "wal_keep_size = 0"};
  Cluster cluster({"b"}, {}, Cluster::Start::kNow, options);
  auto& a = cluster.server("a");
  auto& b = cluster.server("b");
  const Archive archive(cluster);
  std::set<std::string> numbers;
  const auto take_numbers = [&] {
    SqlConnection client(cluster.pgkeel->conninfo());
    for (int i = 0; i < 40; ++i) CHECK(numbers.insert(client.value("SELECT nextval('numbers')")).second);
  };
  {
    SqlConnection client(cluster.pgkeel->conninfo());
    client.query("CREATE TABLE prepared (id int)");
    client.query("CREATE SEQUENCE numbers");
    client.query("SELECT pg_create_logical_replication_slot('changes', 'test_decoding')");
    client.query("SELECT pg_create_physical_replication_slot('archive', true)");
    client.query("BEGIN");
    client.query("INSERT INTO prepared VALUES (1)");
    client.query("PREPARE TRANSACTION 'two phases'");
  }
  take_numbers();
  archive.catch_up(a);
  REQUIRE_MESSAGE(wait_for_slot(b, "archive"), cluster.pgkeel->describe());
  write_and_recycle(cluster, "a", "b");

  a.kill_tree();
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  SqlConnection client(cluster.pgkeel->conninfo());
  CHECK(client.value("SELECT count(*) FROM pg_prepared_xacts") == "1");
  client.query("COMMIT PREPARED 'two phases'");
  CHECK(client.value("SELECT count(*) FROM prepared") == "1");
  take_numbers();

  write_and_recycle(cluster, "b", "a");
  archive.catch_up(b);
  archive.check_gapless(b);
  CHECK(archive.has_timeline("00000002"));

  CHECK_FALSE(has_slot(b, "changes"));
  CHECK(has_event(*cluster.pgkeel, "logical slot changes (database postgres, test_decoding) of a"));
  CHECK(has_event(*cluster.pgkeel, "prepared transactions came along to b: 1"));
  REQUIRE(cluster.pgkeel->status()["left_slots"].size() == 1);
  CHECK(cluster.pgkeel->status()["left_slots"][0]["slot"] == "changes");
  CHECK(cluster.pgkeel->run_verb({"status"}).output.find("logical slot changes") != std::string::npos);
  const auto record = cluster.pgkeel->decisions("failover").back();
  CAPTURE(record.dump(2));
  CHECK(record["beside_rows"]["prepared_transactions"] == 1);
  CHECK(record["beside_rows"]["physical_slots"] == nlohmann::json({"archive"}));
  CHECK(record["beside_rows"]["left"].size() == 1);
  CHECK(record["wal"]["proven_lossless"] == true);
  CHECK(cluster.pgkeel->run_verb({"decisions", "test"}).output.find("physical slots of others: archive") !=
        std::string::npos);

  // And back, to where the slot is a copy by now.
  REQUIRE_MESSAGE(wait_for_slot(a, "archive"), cluster.pgkeel->describe());
  REQUIRE(cluster.pgkeel->run_verb({"failover", "test", "--to", "a", "--yes"}).exit_status == 0);
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("a"), cluster.pgkeel->describe());
  take_numbers();
  archive.catch_up(a);
  archive.check_gapless(a);
  CHECK(archive.has_timeline("00000003"));

  // What is dropped on the primary is dropped everywhere, but for what pgkeel did not make.
  REQUIRE_MESSAGE(wait_for_slot(b, "archive"), cluster.pgkeel->describe());
  b.query("SELECT pg_create_physical_replication_slot('own', true)");
  a.query("SELECT pg_create_physical_replication_slot('own', true)");
  a.query("SELECT pg_create_physical_replication_slot('marker', true)");
  REQUIRE_MESSAGE(wait_for_slot(b, "marker"), cluster.pgkeel->describe());
  for (const char* slot : {"own", "archive", "marker"})
    a.query(std::string("SELECT pg_drop_replication_slot('") + slot + "')");
  CHECK_MESSAGE(wait_for_slot(b, "archive", false), cluster.pgkeel->describe());
  CHECK_MESSAGE(wait_for_slot(b, "marker", false), cluster.pgkeel->describe());
  CHECK(has_slot(b, "own"));
}
