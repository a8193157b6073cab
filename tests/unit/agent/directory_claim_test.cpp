// The claim on a data directory, and what becomes of it where nothing can be locked.
#include "replication/agent/directory_claim.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"
#include "tests/unit/agent/small_disk.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("one has a data directory, and the next gets it when that one is gone") {
  const TemporaryFolder folder;
  DirectoryClaim second(folder.path() + "/data");
  {
    DirectoryClaim first(folder.path() + "/data");
    CHECK(first.take());
    CHECK(first.take());
    const auto refused = second.take();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().is_taken);
    CHECK(refused.error().message == "another pgkeel handles this data directory (it holds " + folder.path() +
                                         "/data.pgkeel-lock): end one of them");
  }
  CHECK(second.take());
}

TEST_CASE("where the folder of a data directory is absent there is nothing to claim") {
  const TemporaryFolder folder;
  CHECK(DirectoryClaim(folder.path() + "/absent/data").take());
}

TEST_CASE("a lock that cannot be opened is no claim, and says why") {
  const TemporaryFolder folder;
  std::filesystem::create_symlink(folder.path() + "/elsewhere", folder.path() + "/data.pgkeel-lock");
  const auto refused = DirectoryClaim(folder.path() + "/data").take();
  REQUIRE_FALSE(refused);
  CHECK_FALSE(refused.error().is_taken);
  CHECK(refused.error().message == "cannot lock " + folder.path() +
                                       "/data.pgkeel-lock, which keeps two pgkeels from handling one data directory: "
                                       "Too many levels of symbolic links");
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/elsewhere"));
}

TEST_CASE("on a full or a read-only disk there is no claim, but where its lock was made before") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path() + "/small", "size=1m,nr_inodes=2");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  std::ofstream(disk.path() + "/first.pgkeel-lock") << "";
  const auto full = DirectoryClaim(disk.path() + "/second").take();
  REQUIRE_FALSE(full);
  CHECK(full.error().message.ends_with(": No space left on device"));
  CHECK(DirectoryClaim(disk.path() + "/first").take());

  REQUIRE(mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "") == 0);
  const auto read_only = DirectoryClaim(disk.path() + "/second").take();
  REQUIRE_FALSE(read_only);
  CHECK(read_only.error().message.ends_with(": Read-only file system"));
  DirectoryClaim first(disk.path() + "/first");
  CHECK(first.take());
  CHECK_FALSE(DirectoryClaim(disk.path() + "/first").take());
}

TEST_CASE("where nothing can be written beside a data directory it is locked itself, and by one alone") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  const auto data = disk.path() + "/data";
  std::filesystem::create_directory(data);
  REQUIRE(mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "") == 0);
  const auto is_taken = [&](const std::string& holds) {
    const auto refused = DirectoryClaim(data).take();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().is_taken);
    CHECK(refused.error().message ==
          "another pgkeel handles this data directory (it holds " + holds + "): end one of them");
  };
  {
    DirectoryClaim first(data);
    REQUIRE(first.take());
    is_taken(data);
    REQUIRE(mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT, "") == 0);
    is_taken(data);  // although it could lock what is beside it
    CHECK(first.take());
    is_taken(data + ".pgkeel-lock");  // by now the first has that too
    std::filesystem::rename(data, data + ".replaced");
    std::filesystem::create_directory(data);
    is_taken(data + ".pgkeel-lock");
  }
  CHECK(DirectoryClaim(data).take());
}

TEST_CASE("a lock beside a data directory that may not be opened is somebody else's: the directory is not locked") {
  const TemporaryFolder folder;
  const auto data = folder.path() + "/data";
  std::filesystem::create_directory(data);
  std::filesystem::create_symlink(folder.path() + "/elsewhere", data + ".pgkeel-lock");
  DirectoryClaim claim(data);
  CHECK_FALSE(claim.take());
  std::filesystem::remove(data + ".pgkeel-lock");
  CHECK(claim.take());
}
