// The folders that a rebuild fills: they go where it fails, and nothing else does.
#include "replication/agent/rejoin_places.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/unit/agent/fake_data_directory.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

struct Rebuild {
  FakeServer server;
  RejoinPlaces places{server.directory};
  std::string one = server.folder.path() + "/one";
  std::string other = server.folder.path() + "/other";
  std::string note = server.directory.beside(".pgkeel-places");

  static void fill(const std::string& folder) { std::ofstream(folder + "/file") << "text"; }
};

}  // namespace

TEST_CASE("what a rebuild made and noted goes, with all that is in it, and its note too") {
  const Rebuild rebuild;
  REQUIRE(rebuild.places.make({rebuild.one, rebuild.other}));
  Rebuild::fill(rebuild.one);
  CHECK(std::filesystem::exists(rebuild.note));
  CHECK(RejoinPlaces(rebuild.server.directory).remove().empty());  // another process, later
  for (const auto& gone : {rebuild.one, rebuild.other, rebuild.note}) CHECK_FALSE(std::filesystem::exists(gone));
  CHECK(rebuild.places.remove().empty());
}

TEST_CASE("what is in use from now on is not noted any more") {
  const Rebuild rebuild;
  REQUIRE(rebuild.places.make({rebuild.one}));
  REQUIRE(rebuild.places.forget());
  CHECK(rebuild.places.remove().empty());
  CHECK(std::filesystem::exists(rebuild.one));
}

TEST_CASE("a folder that was there already is not made, and stays, while what was made before it goes") {
  const Rebuild rebuild;
  std::filesystem::create_directory(rebuild.other);
  const auto made = rebuild.places.make({rebuild.one, rebuild.other});
  REQUIRE_FALSE(made);
  CHECK(made.error().message == "cannot create " + rebuild.other + ": File exists");
  CHECK(rebuild.places.remove().empty());
  CHECK_FALSE(std::filesystem::exists(rebuild.one));
  CHECK(std::filesystem::exists(rebuild.other));
}

TEST_CASE("a folder that took the place of the one that was made stays, and so does what a link there leads to") {
  const Rebuild rebuild;
  REQUIRE(rebuild.places.make({rebuild.one, rebuild.other}));
  std::filesystem::rename(rebuild.one, rebuild.one + ".kept");
  std::filesystem::create_directory(rebuild.one);
  Rebuild::fill(rebuild.one);
  std::filesystem::rename(rebuild.other, rebuild.other + ".kept");
  Rebuild::fill(rebuild.other + ".kept");
  std::filesystem::create_directory_symlink(rebuild.other + ".kept", rebuild.other);
  const auto lines = rebuild.places.remove();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == rebuild.one + ", which a rebuild had made, is left as it is: it is another now");
  CHECK(std::filesystem::exists(rebuild.one + "/file"));
  CHECK(std::filesystem::exists(rebuild.other + ".kept/file"));
  CHECK(rebuild.places.remove().empty());  // it is not ours: told once
}

TEST_CASE("a tablespace that the data directory uses is never removed") {
  const Rebuild rebuild;
  REQUIRE(rebuild.places.make({rebuild.one}));
  Rebuild::fill(rebuild.one);
  std::filesystem::create_directory_symlink(rebuild.one, rebuild.server.directory.file("pg_tblspc/16385"));
  const auto lines = rebuild.places.remove();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with("is left as it is: " + rebuild.server.directory.path() + " uses it"));
  CHECK(std::filesystem::exists(rebuild.one + "/file"));
}

TEST_CASE(
    "killed between its note and the folder, or the folder and its inode: what is empty goes, what is not stays") {
  const Rebuild rebuild;
  std::ofstream(rebuild.note) << R"([{"path": ")" + rebuild.one + R"(", "inode": 0}, {"path": ")" + rebuild.other +
                                     R"(", "inode": 0}, {"path": ")" + rebuild.one + R"(-not-made", "inode": 0}])";
  for (const auto& folder : {rebuild.one, rebuild.other}) std::filesystem::create_directory(folder);
  Rebuild::fill(rebuild.other);
  CHECK(rebuild.places.remove().size() == 1);
  CHECK_FALSE(std::filesystem::exists(rebuild.one));
  CHECK(std::filesystem::exists(rebuild.other + "/file"));
}

TEST_CASE("a note that cannot be read removes nothing") {
  const Rebuild rebuild;
  std::ofstream(rebuild.note) << "[{}]";
  const auto lines = rebuild.places.remove();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == rebuild.note + " is damaged: the folders that it names are left as they are");
  CHECK_FALSE(rebuild.places.make({rebuild.one}));
}
