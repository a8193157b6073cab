// Former processes are found by their marks, and ended where they do not end by themselves.
#include "proxy/handover/former_mark.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A child that has left its mark; it ends when it is told to, or is killed.
class Marked {
 public:
  explicit Marked(const std::string& folder) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::pipe(end_) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(end_[1]);
      const auto mark = FormerMark::leave(folder);
      char byte = mark ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) != 1 || ::read(end_[0], &byte, 1) < 0) ::_exit(1);
      ::_exit(0);
    }
    ::close(end_[0]);
    ::close(ready[1]);
    char byte = 'n';
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    REQUIRE(byte == 'y');
  }
  ~Marked() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    tell_to_end();
  }
  Marked(const Marked&) = delete;
  Marked& operator=(const Marked&) = delete;

  void tell_to_end() {
    if (end_[1] >= 0) ::close(end_[1]);
    end_[1] = -1;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int end_[2] = {-1, -1};
};

bool is_empty(const std::string& folder) {
  return std::filesystem::is_empty(folder);
}

}  // namespace

TEST_CASE("one that hangs is killed, one that ends is waited for, and what is left of dead ones is taken away") {
  const TemporaryFolder folder;
  CHECK(FormerMark::end_all(folder.path()).value().empty());
  {
    Marked hangs(folder.path());
    ::kill(hangs.pid(), SIGSTOP);
    CHECK(FormerMark::end_all(folder.path()).value() == std::vector{hangs.pid()});
    CHECK(is_empty(folder.path()));
  }
  {
    Marked ends(folder.path());
    ends.tell_to_end();
    CHECK(FormerMark::end_all(folder.path()).value().empty());
    CHECK(is_empty(folder.path()));
  }
  // A number that is another process's by now, which nobody touches.
  std::ofstream(folder.path() + "/former-" + std::to_string(::getppid())) << "";
  CHECK(FormerMark::end_all(folder.path()).value().empty());
  CHECK(is_empty(folder.path()));
  std::ofstream(folder.path() + "/former-not") << "";
  CHECK(FormerMark::end_all(folder.path()).value().empty());
  CHECK(std::filesystem::exists(folder.path() + "/former-not"));
  CHECK_FALSE(FormerMark::end_all(folder.path() + "/nowhere"));
}

TEST_CASE("our own mark is no reason, and goes with us") {
  const TemporaryFolder folder;
  {
    const auto mark = FormerMark::leave(folder.path());
    REQUIRE(mark);
    CHECK(FormerMark::end_all(folder.path()).value().empty());
    CHECK_FALSE(is_empty(folder.path()));
  }
  CHECK(is_empty(folder.path()));
}
