// Copies to the quarantine where there is no room, or only for what shares no blocks.
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <doctest/doctest.h>

#include "replication/agent/room.h"
#include "tests/unit/agent/fake_data_directory.h"
#include "tests/unit/agent/small_disk.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

void allocate(const std::string& file, std::uint64_t bytes) {
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0);
  CHECK(posix_fallocate(descriptor, 0, static_cast<off_t>(bytes)) == 0);
  fsync(descriptor);
  close(descriptor);
}

}  // namespace

TEST_CASE("a copy for which there is no room is not begun") {
  const FakeServer server;
  const SmallDisk disk(server.folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  allocate(server.folder.path() + "/space/PG_15/2", 20U << 20);
  const auto copied = Quarantine(disk.path(), server.directory).copy(server.divergence, "1");
  REQUIRE_FALSE(copied);
  CHECK(copied.error().kind == PlacingError::Kind::kNoRoom);
  CHECK(copied.error().message == "no room to set aside what the node alone has: it takes 21 MB, and in " +
                                      disk.path() + " there is room for 13 MB");
  CHECK(std::filesystem::is_empty(disk.path()));
}

TEST_CASE("a copy in whose middle the disk is full is for want of room too, and leaves nothing behind") {
  const FakeServer server;
  const SmallDisk disk(server.folder.path() + "/small", "size=12m,nr_inodes=8");  // for no more than so many files
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const Quarantine quarantine(disk.path(), server.directory);
  const auto copied = quarantine.copy(server.divergence, "1");
  REQUIRE_FALSE(copied);
  CHECK(copied.error().kind == PlacingError::Kind::kNoRoom);
  CHECK(copied.error().message.find("No space left on device") != std::string::npos);
  CHECK(std::filesystem::is_empty(disk.path()));

  REQUIRE(mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT, "nr_inodes=100,mode=0777") == 0);
  CHECK(quarantine.copy(server.divergence, "2"));
}

TEST_CASE("a failure that is not for want of room is none") {
  const FakeServer server;
  std::filesystem::remove_all(server.folder.path() + "/space");  // its link leads nowhere
  const auto copied = Quarantine("", server.directory).copy(server.divergence, "1");
  REQUIRE_FALSE(copied);
  CHECK(copied.error().kind == PlacingError::Kind::kOther);
}

TEST_CASE(
    "where blocks can be shared, room is asked for the parts that are on another file system, and only for them") {
  const TemporaryFolder folder;
  const SharingDisk disk(folder.path() + "/disk", folder.path() + "/image");
  if (!disk.made()) {
    MESSAGE("not tested: no file system that shares blocks may be mounted here");
    return;
  }
  const FakeServer server(disk.path());
  allocate(disk.path() + "/data/global/1", 70U << 20);  // twice that there would be no room for
  const auto elsewhere = server.folder.path() + "/space/PG_15/2";
  allocate(elsewhere, 1U << 20);
  const auto taken = disk_bytes_of_copy(server.directory.path(), disk.path());
  CHECK(taken >= 1U << 20);
  CHECK(taken < 2U << 20);
  const Quarantine quarantine("", server.directory);
  const auto copied = quarantine.copy(server.divergence, "1");
  REQUIRE_MESSAGE(copied, copied.error().message);
  CHECK(std::filesystem::file_size(*copied + "/data/global/1") == 70U << 20);
  CHECK(std::filesystem::file_size(*copied + "/data/pg_tblspc/16384/PG_15/2") == 1U << 20);
  CHECK(disk_bytes_of_copy(*copied + "/data", *copied) == 0);

  allocate(elsewhere, 150U << 20);
  const auto refused = quarantine.copy(server.divergence, "2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == PlacingError::Kind::kNoRoom);
  CHECK(refused.error().message.find("it takes 151 MB") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(quarantine.folder() + "/a-2"));
}

TEST_CASE("what comes onto one file system is counted together, and each file system for itself") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const std::uint64_t part = 7U << 20;
  CHECK(check_room({{disk.path() + "/not/made/yet", part}, {folder.path(), part}}, "for it"));
  const auto refused = check_room({{disk.path() + "/one", part}, {folder.path(), part}, {disk.path(), part}}, "for it");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        "no room for it: it takes 15 MB, and in " + disk.path() + "/one there is room for 13 MB");
}

TEST_CASE("what a program complains of is want of room where it says that last") {
  CHECK(complains_of_room("cp: error writing '/q/a/data/base/1': No space left on device"));
  CHECK(complains_of_room("cp: error writing '/q/a/data/base/1': Disk quota exceeded"));
  CHECK(complains_of_room(
      "pg_basebackup: error: could not write to file \"/srv/a.new-1/base/1\": No space left on device"));
  CHECK_FALSE(
      complains_of_room("pg_basebackup: error: could not get COPY data stream: ERROR:  could not write to file "
                        "\"pgsql_tmp\": No space left on device"));
  CHECK_FALSE(
      complains_of_room("pg_basebackup: error: connection to server at \"b\", port 5432 failed: FATAL:  could not "
                        "write init file: No space left on device"));
  CHECK_FALSE(complains_of_room("cp: cannot open 'No space left on device': Permission denied"));
}
