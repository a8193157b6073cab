#include "proxy/io/durable_file.h"

#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/io/tls_context.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;

TEST_CASE("what was written durably is read back, with its mode, and nothing is left beside it") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/state";
  REQUIRE(write_durably(path, "first"));
  REQUIRE(write_durably(path, std::string("second\0line\n", 12), 0640));
  CHECK(*read_file(path) == std::string("second\0line\n", 12));
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777U) == 0640U);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a symbolic link is replaced, not written through") {
  const test::TemporaryFolder folder;
  const auto target = folder.path() + "/target";
  const auto link = folder.path() + "/link";
  REQUIRE(write_durably(target, "kept"));
  REQUIRE(symlink(target.c_str(), link.c_str()) == 0);
  REQUIRE(write_durably(link, "new"));
  CHECK(*read_file(target) == "kept");
  CHECK(*read_file(link) == "new");
}

TEST_CASE("nobody waits for what is no file") {
  const test::TemporaryFolder folder;
  const auto fifo = folder.path() + "/fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const auto content = read_file(fifo);
  REQUIRE(content);
  CHECK(content->empty());
  for (const auto& context :
       {TlsContext::accepting(fifo, fifo, ""), TlsContext::connecting(fifo, TlsContext::HostName::kAny)}) {
    REQUIRE_FALSE(context);
    CHECK(context.error().message == fifo + " is no regular file");
  }
}

TEST_CASE("a failed write leaves the old file and says why") {
  const test::TemporaryFolder folder;
  const auto nowhere = write_durably(folder.path() + "/no/such/folder", "x");
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().message.find("No such file or directory") != std::string::npos);
  // A folder in the way cannot be replaced by a file.
  std::filesystem::create_directory(folder.path() + "/taken");
  CHECK_FALSE(write_durably(folder.path() + "/taken", "x"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a file that is too long is refused") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/long";
  REQUIRE(write_durably(path, "12345"));
  CHECK(read_file(path, 5));
  CHECK_FALSE(read_file(path, 4));
  CHECK_FALSE(read_file(folder.path() + "/absent"));
}

TEST_CASE("removing twice is fine") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/file";
  REQUIRE(write_durably(path, "x"));
  CHECK(remove_durably(path));
  CHECK(remove_durably(path));
  CHECK_FALSE(std::filesystem::exists(path));
}
