#include "replication/agent/lost_protocol.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("what an agent tells of its quarantine comes back as it was") {
  QuarantineEntry entry;
  entry.id = "a-20261123T081530.123Z";
  entry.folder = "/var/lib/pgkeel/quarantine/" + entry.id;
  entry.time = "20261123T081530.123Z";
  entry.divergence.node = "a";
  entry.divergence.timeline = 3;
  entry.divergence.fork = Lsn{0x3000};
  entry.data = entry.folder + "/data";
  entry.data_exists = entry.examined = true;
  entry.transactions = 14;
  entry.problems = {"one"};
  entry.removed = "it is older than 30d";
  const auto told = parse_told_entries(to_json(std::vector<ToldEntry>{{entry, true}}));
  REQUIRE_MESSAGE(told, told.error().message);
  REQUIRE(told->size() == 1);
  CHECK(told->front().announced);
  CHECK(told->front().entry.id == entry.id);
  CHECK(told->front().entry.divergence.fork == entry.divergence.fork);
  CHECK_FALSE(told->front().entry.divergence.wal_end);
  CHECK(told->front().entry.transactions == 14);
  CHECK(told->front().entry.removed == entry.removed);
  CHECK(told->front().entry.problems == entry.problems);
  CHECK(to_json(*told) == to_json(std::vector<ToldEntry>{{entry, true}}));
  CHECK_FALSE(parse_told_entries("{}"));
  entry.id = "../a";
  CHECK_FALSE(parse_told_entries(to_json(std::vector<ToldEntry>{{entry, true}})));
}

TEST_CASE("an export's files stay below the folder that they are put in") {
  for (const char* name : {"summary.json", "postgres/public.t.inserted.csv", "%2E%2E/x"})
    CHECK(is_safe_file_name(name));
  for (const char* name : {"", "/etc/passwd", "..", "../x", "a/../b", "a//b", "a/", ".ssh/key", "a/.x", "a\nb"})
    CHECK_FALSE(is_safe_file_name(name));
  ExportRecord record;
  record.state = JobState::kDone;
  record.report.inserted = 5;
  record.report.large_objects = {.written = 3, .deleted = 2};
  record.lines_before = 2;
  record.lines = {"three"};
  record.files = {{"postgres/public.t.inserted.csv", 100}};
  const auto parsed = parse_export_record(to_json(record));
  REQUIRE_MESSAGE(parsed, parsed.error().message);
  CHECK(to_json(*parsed) == to_json(record));
  record.files = {{"../../etc/cron.d/x", 100}};
  CHECK_FALSE(parse_export_record(to_json(record)));
}
