#include "proxy/admin/token_file.h"

#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a token file that is not there is made at random, for its owner alone, and stays") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/token";
  CHECK_FALSE(read_token(path));
  const auto made = read_or_make_token(path);
  REQUIRE_MESSAGE(made, made.error().message);
  CHECK(made->size() == 64);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(*read_or_make_token(path) == *made);
  CHECK(*read_token(path) == *made);
  CHECK(*read_or_make_token(folder.path() + "/another") != *made);
}

TEST_CASE("a token file that others can read, or that holds no token, is refused with what to do") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/token";
  const auto refused = [&](const std::string& content, mode_t mode, const std::string& why) {
    std::ofstream(path, std::ios::trunc) << content;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    const auto token = read_or_make_token(path);
    REQUIRE_FALSE(token);
    CHECK_MESSAGE(token.error().message.find(why) != std::string::npos, token.error().message);
  };
  refused("0123456789abcdef\n", 0640, "chmod 600");
  refused("0123456789abcdef\n", 0604, "chmod 600");
  refused("", 0600, "holds no token");
  refused("short\n", 0600, "holds no token");
  refused("0123456789 abcdef\n", 0600, "holds no token");
  refused(std::string(5000, 'x'), 0600, "cannot be read");
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  CHECK_FALSE(read_or_make_token(path));
  CHECK_FALSE(read_or_make_token(folder.path() + "/missing/token"));
}
