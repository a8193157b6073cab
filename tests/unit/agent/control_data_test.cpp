#include "replication/agent/control_data.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

const std::string kCrashedPrimary = R"(pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7445009371325467201
Database cluster state:               in production
pg_control last modified:             Mon 23 Nov 2026 07:11:51 AM UTC
Latest checkpoint location:           0/3000060
Latest checkpoint's REDO location:    0/3000028
Latest checkpoint's REDO WAL file:    000000010000000000000003
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Minimum recovery ending location:     0/3FFFFFF
Min recovery ending loc's timeline:   2
wal_level setting:                    replica
wal_log_hints setting:                on
max_prepared_xacts setting:           7
Database block size:                  8192
Blocks per segment of large relation: 131072
WAL block size:                       8192
Bytes per WAL segment:                16777216
Data page checksum version:           0
)";

std::string without(std::string text, const std::string& line_begin) {
  const auto begin = text.find(line_begin);
  return text.erase(begin, text.find('\n', begin) + 1 - begin);
}

}  // namespace

TEST_CASE("pg_controldata's lines become values") {
  const auto control = parse_control_data(kCrashedPrimary);
  REQUIRE(control);
  CHECK(control->system_identifier == "7445009371325467201");
  CHECK(control->cluster_state == "in production");
  CHECK(control->checkpoint == Lsn{0x3000060});
  CHECK(control->checkpoint_redo == Lsn{0x3000028});
  CHECK(control->checkpoint_timeline == 1);
  CHECK(control->min_recovery_end == Lsn{0x3FFFFFF});
  CHECK(control->wal_segment_bytes == 16777216);
  CHECK(control->wal_block_bytes == 8192);
  CHECK(control->block_bytes == 8192);
  CHECK(control->segment_blocks == 131072);
  CHECK(control->max_prepared_transactions == 7);
  CHECK(control->wal_log_hints);
  CHECK_FALSE(control->data_checksums);
  CHECK_FALSE(control->shut_down_cleanly());
  CHECK_FALSE(control->was_in_recovery());
}

TEST_CASE("a server that was just promoted is on its new timeline, although its checkpoint is not") {
  CHECK(parse_control_data(kCrashedPrimary)->timeline() == 2);
}

TEST_CASE("what pg_controldata does not say is an error that names it") {
  const auto control = parse_control_data(without(kCrashedPrimary, "Latest checkpoint location"));
  REQUIRE_FALSE(control);
  CHECK(control.error().message == "pg_controldata's output has no valid \"Latest checkpoint location\"");
  CHECK_FALSE(parse_control_data(""));
  CHECK_FALSE(parse_control_data("Database system identifier:           1\nWAL block size: x\n"));
}

TEST_CASE("a control file whose checksum is wrong is not believed") {
  CHECK_FALSE(
      parse_control_data("WARNING: Calculated CRC checksum does not match value stored in file.\n" + kCrashedPrimary));
  CHECK_FALSE(parse_control_data(
      kCrashedPrimary +
      "pg_controldata: warning: calculated CRC checksum does not match value stored in control file\n"));
}
