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
  const auto made = read_or_make_tokens(path);
  REQUIRE_MESSAGE(made, made.error().message);
  REQUIRE(made->size() == 1);
  CHECK(made->front().text.size() == 64);
  CHECK(made->front().holder.empty());
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(*read_or_make_tokens(path) == *made);
  CHECK(*read_token(path) == made->front().text);
  CHECK(*read_or_make_tokens(folder.path() + "/another") != *made);
}

TEST_CASE("a token file that others can read, or that holds no token, is refused with what to do") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/token";
  const auto refused = [&](const std::string& content, mode_t mode, const std::string& why) {
    std::ofstream(path, std::ios::trunc) << content;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    const auto token = read_or_make_tokens(path);
    REQUIRE_FALSE(token);
    CHECK_MESSAGE(token.error().message.find(why) != std::string::npos, token.error().message);
  };
  refused("0123456789abcdef\n", 0640, "chmod 600");
  refused("0123456789abcdef\n", 0604, "chmod 600");
  refused("", 0600, "holds no token");
  refused("short\n", 0600, "holds no token");
  refused("alice 0123456789\n", 0600, "holds no token");
  refused("0123456789abcdef\nalice\n", 0600, "line 2 holds no token");
  refused("alice smith 0123456789abcdef\n", 0600, "line 1: what stands there is neither");
  refused("\"alice\" 0123456789abcdef\n", 0600, "line 1: what stands there is neither");
  refused("# nobody\n\n", 0600, "holds no token");
  refused(std::string(5000, 'x'), 0600, "cannot be read");
  REQUIRE(::unlink(path.c_str()) == 0);
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  CHECK_FALSE(read_or_make_tokens(path));
  CHECK_FALSE(read_or_make_tokens(folder.path() + "/missing/token"));
}

TEST_CASE("each holder has a token of its own, and the verbs show the first") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/token";
  std::ofstream(path)
      << "# one a line\n0123456789abcdef\n\n  alice   fedcba9876543210\r\nbob@example.com 0011223344556677";
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  const auto tokens = read_tokens(path);
  REQUIRE_MESSAGE(tokens, tokens.error().message);
  CHECK(*tokens ==
        AdminTokens{{"", "0123456789abcdef"}, {"alice", "fedcba9876543210"}, {"bob@example.com", "0011223344556677"}});
  CHECK(*read_token(path) == "0123456789abcdef");
}
