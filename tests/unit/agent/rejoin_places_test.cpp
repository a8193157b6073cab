// The folders that a rebuild fills: they go where it fails, and nothing else does.
#include "replication/agent/rejoin_places.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/agent/fake_data_directory.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

constexpr const char* kTime = "20261123T081530.123Z";

struct Rebuild {
  FakeServer server;
  RejoinPlaces places{server.directory};
  std::string one = fresh_place(server.folder.path() + "/one", kTime);
  std::string other = fresh_place(server.folder.path() + "/other", kTime);
  std::string note = server.directory.beside(".pgkeel-places");

  static void fill(const std::string& folder) { std::ofstream(folder + "/file") << "text"; }

  // A note as it would be if a rebuild had made these.
  void forge(const std::vector<std::string>& paths, std::uint64_t other_device = 0) const {
    auto rows = nlohmann::json::array();
    for (const auto& path : paths) {
      struct stat found {};
      REQUIRE(lstat(path.c_str(), &found) == 0);
      rows.push_back({{"path", path}, {"device", found.st_dev + other_device}, {"inode", found.st_ino}});
    }
    std::ofstream(note) << rows;
  }

  // That nothing of this goes, and why.
  void stays(const std::string& path, const std::string& why) const {
    CAPTURE(path);
    const auto lines = places.remove();
    REQUIRE(lines.size() == 1);
    CHECK(lines[0] == path + ", which a rebuild had made, is left as it is: " + why);
    CHECK(std::filesystem::exists(path + "/file"));
  }
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
  auto rows = nlohmann::json::array();
  for (const auto& path : {rebuild.one, rebuild.other, fresh_place(rebuild.server.folder.path() + "/not_made", kTime)})
    rows.push_back({{"path", path}, {"device", 0}, {"inode", 0}});
  std::ofstream(rebuild.note) << rows;
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

TEST_CASE("a note that somebody else wrote, or may write, removes nothing") {
  const Rebuild rebuild;
  std::filesystem::create_directory(rebuild.one);
  Rebuild::fill(rebuild.one);
  const auto is_not_believed = [&] {
    const auto lines = rebuild.places.remove();
    REQUIRE(lines.size() == 1);
    CHECK(lines[0] == rebuild.note + " was not written by pgkeel: the folders that it names are left as they are");
    CHECK(std::filesystem::exists(rebuild.one + "/file"));
    const auto made = rebuild.places.make({rebuild.other});
    REQUIRE_FALSE(made);
    CHECK(made.error().message ==
          rebuild.note + " was not written by pgkeel: look what it names, and remove this file");
    CHECK_FALSE(std::filesystem::exists(rebuild.other));
  };
  rebuild.forge({rebuild.one});
  REQUIRE(chmod(rebuild.note.c_str(), 0666) == 0);
  is_not_believed();
  REQUIRE(chmod(rebuild.note.c_str(), 0600) == 0);
  if (geteuid() == 0) {
    REQUIRE(chown(rebuild.note.c_str(), 65534, 65534) == 0);
    is_not_believed();
    REQUIRE(chown(rebuild.note.c_str(), 0, 0) == 0);
  }
  std::filesystem::create_hard_link(rebuild.note, rebuild.note + "-again");
  is_not_believed();
  std::filesystem::remove(rebuild.note);
  std::filesystem::create_symlink(rebuild.note + "-again", rebuild.note);
  is_not_believed();
  std::filesystem::remove(rebuild.note);
  std::filesystem::rename(rebuild.note + "-again", rebuild.note);
  CHECK(rebuild.places.remove().empty());  // this one is
  CHECK_FALSE(std::filesystem::exists(rebuild.one));
}

TEST_CASE("whatever a note says, no folder goes that does not bear the name of a place that a rebuild makes") {
  const Rebuild rebuild;
  const auto& in = rebuild.server.folder.path();
  for (const std::string& name :
       {in + "/space", in + "/one.pgkeel-1", in + "/one.pgkeel-20261123T081530.123Z.old",
        in + "/.pgkeel-20261123T081530.123Z", in + "/one.new-20261123T081530.123Z",
        in + "/space/data.new-20261123T081530.123Z", in + "/space/../one.pgkeel-20261123T081530.123Z",
        in + "/data.replaced-20261123T081530.123Z"}) {
    std::filesystem::create_directory(name);
    Rebuild::fill(name);
    rebuild.forge({name});
    rebuild.stays(name, "no rebuild gives a folder this name");
  }
  const auto made = rebuild.server.directory.beside(".new-20261123T081530.123Z");
  std::filesystem::create_directory(made);
  rebuild.forge({made});
  CHECK(rebuild.places.remove().empty());
  CHECK_FALSE(std::filesystem::exists(made));
}

TEST_CASE("a folder of another device, or of another user, stays") {
  const Rebuild rebuild;
  std::filesystem::create_directory(rebuild.one);
  Rebuild::fill(rebuild.one);
  rebuild.forge({rebuild.one}, 1);
  rebuild.stays(rebuild.one, "it is another now");
  if (geteuid() != 0) return;
  REQUIRE(chown(rebuild.one.c_str(), 65534, 65534) == 0);
  rebuild.forge({rebuild.one});
  rebuild.stays(rebuild.one, "it does not belong to the user of the server");
}

TEST_CASE("a link on the way to a folder is not followed when it is removed; one to where it is made is, once") {
  const Rebuild rebuild;
  const auto disk = rebuild.server.folder.path() + "/disk";
  const auto link = rebuild.server.folder.path() + "/link";
  std::filesystem::create_directory(disk);
  std::filesystem::create_directory_symlink(disk, link);
  const auto place = fresh_place(link + "/space", kTime);
  REQUIRE(rebuild.places.make({place}));
  Rebuild::fill(place);
  std::filesystem::remove(link);  // somebody lets it lead elsewhere
  std::filesystem::create_directory_symlink(rebuild.server.folder.path() + "/space", link);
  CHECK(rebuild.places.remove().empty());
  CHECK(std::filesystem::is_empty(disk));

  std::filesystem::create_directory(place);
  Rebuild::fill(place);
  rebuild.forge({place});
  rebuild.stays(place, "something else than a folder is on the way to it");
}

TEST_CASE("what goes takes nothing with it that it links to") {
  const Rebuild rebuild;
  REQUIRE(rebuild.places.make({rebuild.one}));
  std::filesystem::create_directory_symlink(rebuild.server.folder.path() + "/space", rebuild.one + "/link");
  std::filesystem::create_directory(rebuild.one + "/-delete");
  Rebuild::fill(rebuild.one + "/-delete");
  CHECK(rebuild.places.remove().empty());
  CHECK_FALSE(std::filesystem::exists(rebuild.one));
  CHECK(std::filesystem::exists(rebuild.server.folder.path() + "/space/PG_15/1"));
}

TEST_CASE("what goes is removed as the user of the server, who can remove nothing of others") {
  if (geteuid() != 0) return;
  FakeServer server;
  auto settings = server.directory.settings();
  settings.os_user = "nobody";
  const DataDirectory directory(settings);
  const RejoinPlaces places(directory);
  std::filesystem::permissions(server.folder.path(), std::filesystem::perms::others_exec,
                               std::filesystem::perm_options::add);
  const auto place = fresh_place(server.folder.path() + "/one", kTime);
  REQUIRE(places.make({place}));
  const auto of_root = place + "/of_root";
  std::filesystem::create_directory(of_root);
  Rebuild::fill(of_root);
  const auto lines = places.remove();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with(place + ", which a rebuild had made, is left as it is: "));
  CHECK(std::filesystem::exists(of_root + "/file"));
  std::filesystem::remove_all(of_root);
  Rebuild::fill(place);
  CHECK(places.remove().empty());  // what could not be removed was noted still
  CHECK_FALSE(std::filesystem::exists(place));
}

TEST_CASE("what an earlier version left without a note goes while it is incomplete, and nothing else of that name") {
  const Rebuild rebuild;
  const auto& directory = rebuild.server.directory;
  const auto incomplete = directory.beside(".new-20261123T081530.123Z");
  const auto complete = directory.beside(".new-20261123T081531.123Z");
  const auto other = directory.beside(".new-disk");
  const auto of_another = directory.beside("2.new-20261123T081530.123Z");
  for (const auto& path : {incomplete, complete, other, of_another}) {
    std::filesystem::create_directories(path + "/global");
    Rebuild::fill(path);
  }
  std::ofstream(complete + "/global/pg_control") << "control";
  const auto lines = rebuild.places.remove_unnoted();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == complete +
                        ", as a rebuild names what it makes, is left as it is: it has a pg_control; remove it when "
                        "nobody needs it");
  CHECK_FALSE(std::filesystem::exists(incomplete));
  for (const auto& path : {complete, other, of_another}) CHECK(std::filesystem::exists(path + "/file"));
}

TEST_CASE("the place of a rebuild keeps its name but for the time of the rebuild") {
  CHECK(fresh_place("/fast/wal", kTime) == "/fast/wal.pgkeel-20261123T081530.123Z");
  CHECK(fresh_place("/fast/wal.pgkeel-20251123T081530.123Z", kTime) == "/fast/wal.pgkeel-20261123T081530.123Z");
  CHECK(fresh_place("/my.pgkeel-disk/one", kTime) == "/my.pgkeel-disk/one.pgkeel-20261123T081530.123Z");
}
