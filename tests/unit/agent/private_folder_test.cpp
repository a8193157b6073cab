// Folders of isolated servers: they go with whoever made them, and those of somebody who was killed go later.
#include "replication/agent/private_folder.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace files = std::filesystem;

namespace {

FileOwner ourselves() {
  return {geteuid(), getegid()};
}

// What a process leaves that makes one, puts something into it, and is killed.
std::string left_by_a_killed_process(const TemporaryFolder& folder) {
  const auto told = folder.path() + "/told";
  const pid_t child = fork();
  if (child == 0) {
    const auto made = PrivateFolder::make(ourselves());
    if (!made) _exit(1);
    files::create_symlink(folder.path(), (*made)->path() + "/link");
    std::ofstream((*made)->path() + "/.s.PGSQL.5432.lock") << "1";
    std::ofstream(told) << (*made)->path();
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  std::string path;
  std::ifstream(told) >> path;
  return path;
}

}  // namespace

TEST_CASE("a private folder goes with its object, with all that is in it") {
  std::string path;
  {
    const auto made = PrivateFolder::make(ourselves());
    REQUIRE_MESSAGE(made, made.error().message);
    path = (*made)->path();
    std::ofstream(path + "/postgresql.conf") << "";
    CHECK((files::status(path).permissions() & files::perms::others_all) == files::perms::none);
  }
  CHECK_FALSE(files::exists(path));
}

TEST_CASE("a private folder that a killed process left is removed, one that is used is not, and no link is followed") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/precious") << "kept";
  const auto left = left_by_a_killed_process(folder);
  REQUIRE(files::exists(left));
  const auto used = PrivateFolder::make(ourselves());  // looks for those that were left, too
  REQUIRE_MESSAGE(used, used.error().message);
  CHECK_FALSE(files::exists(left));
  CHECK(files::exists(folder.path() + "/precious"));

  remove_left_private_folders(ourselves());
  CHECK(files::exists((*used)->path()));
}
