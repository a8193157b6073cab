// HandoverGiver and the process that it starts, up to where that one takes over.
#include <array>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "proxy/handover/handover_giver.h"
#include "proxy/io/detached_process.h"
#include "tests/support/slow_program.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/handover/scripted_owner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

void greet_and_wait(const Descriptor& link) {
  say(link, HandoverWord::kHello, kHandoverVersion);
  hear(link, HandoverWord::kOffered);
  hear(link, HandoverWord::kMain);  // never: it leaves with 1 when the link is closed
}

}  // namespace

TEST_CASE("a new process that says nothing is ended, and another one may be started") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.hello = 100ms});
  REQUIRE(giver);
  for (int time = 0; time < 2; ++time) {
    CAPTURE(time);
    owner.failure.clear();
    REQUIRE((*giver)->start_successor({"/bin/sleep", "1000"}));
    CHECK((*giver)->is_under_way());
    CHECK_FALSE((*giver)->start_successor({"/bin/sleep", "1000"}));
    CHECK(run_until(
        loop, [&] { return !owner.failure.empty(); }, 10s));
    CHECK_MESSAGE(owner.failure.find("said nothing for 100ms, and was ended") != std::string::npos, owner.failure);
    CHECK_FALSE((*giver)->is_under_way());
  }
  CHECK_FALSE(owner.taken_back);
}

TEST_CASE("what is over in a moment does not keep a new process from being started, and what takes longer does") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.hello = 100ms});
  REQUIRE(giver);
  owner.why_not = owner.why_not_soon = "a switchover is under way";
  const auto refused = (*giver)->start_successor({"/bin/sleep", "1000"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == "a switchover is under way");
  CHECK_FALSE((*giver)->is_under_way());
  owner.why_not = "something is being written";
  owner.why_not_soon.clear();
  CHECK((*giver)->start_successor({"/bin/sleep", "1000"}));
  CHECK(run_until(loop, [&] { return !owner.failure.empty(); }));
}

TEST_CASE("a stranger that greets and goes no further is not ended: its link is closed") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.start = 100ms});
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), greet_and_wait);
  CHECK(exit_status_of(loop, child) == 1);
  CHECK(owner.failure == "process " + std::to_string(child) + " did not take over: it took too long");
  CHECK_FALSE((*giver)->is_under_way());
  CHECK_FALSE(owner.taken_back);
}

TEST_CASE("a process that we started, and that connects and goes no further, is ended: it may have our sockets") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.start = 100ms});
  REQUIRE(giver);
  // A Unix socket that keeps the bounds of messages, and nothing said on it.
  const std::string program =
      "socket(my $link, 1, 5, 0) or die; connect($link, pack('S a*', 1, $ARGV[0])) or die; "
      "open(my $file, '>', $ARGV[1]) or die; print $file $$; close($file); sleep 1000;";
  const std::string pid_file = folder.path() + "/pid";
  REQUIRE((*giver)->start_successor({"/usr/bin/perl", "-e", program, folder.path() + "/" + kHandoverSocket, pid_file}));
  CHECK(run_until(loop, [&] { return !owner.failure.empty(); }));
  pid_t pid = 0;
  std::ifstream(pid_file) >> pid;
  REQUIRE(pid > 0);
  CHECK(owner.failure == "process " + std::to_string(pid) + " did not take over: it took too long, and was ended");
  // Gone, or about to be.
  if (const auto process = open_process(pid)) {
    pollfd death{process->number(), POLLIN, 0};
    CHECK(::poll(&death, 1, 30'000) == 1);
  }
  CHECK_FALSE((*giver)->is_under_way());
}

TEST_CASE("a program that cannot be executed is refused with the reason, and is not under way") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const std::string program = folder.path() + "/program";
  const auto refusal = [&] {
    const auto started = (*giver)->start_successor({program});
    return started ? std::string() : started.error().message;
  };
  CHECK(refusal() == program + " cannot be executed: No such file or directory");
  std::ofstream(program) << "no program";
  CHECK(refusal() == program + " cannot be executed: Permission denied");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  CHECK(refusal() == program + " cannot be executed: Exec format error");
  CHECK_FALSE((*giver)->is_under_way());
}

TEST_CASE("a program on a disk that hangs keeps nobody from deciding, and what became of it is told later") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  SlowProgram program(folder.path() + "/program", "no program");
  SUBCASE("it cannot be executed after all") {
    auto giver = HandoverGiver::open(loop, folder.path(), owner);
    REQUIRE(giver);
    REQUIRE((*giver)->start_successor({program.path()}));
    CHECK((*giver)->is_under_way());
    program.let_go();
    CHECK(run_until(loop, [&] { return !owner.failure.empty(); }));
    CHECK_MESSAGE(owner.failure.ends_with(" cannot be executed: Exec format error"), owner.failure);
    CHECK_FALSE((*giver)->is_under_way());
  }
  SUBCASE("it is not waited for any longer") {
    auto giver = HandoverGiver::open(loop, folder.path(), owner, {.hello = 100ms});
    REQUIRE(giver);
    REQUIRE((*giver)->start_successor({program.path()}));
    CHECK(run_until(loop, [&] { return !owner.failure.empty(); }));
    CHECK_MESSAGE(owner.failure.ends_with(" said nothing for 100ms, and was ended"), owner.failure);
    CHECK_FALSE((*giver)->is_under_way());
  }
  SUBCASE("meanwhile it keeps none of our connections open") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const Descriptor other(ends[1]);
    Descriptor connection(ends[0]);
    const auto process = start_detached({program.path()});
    REQUIRE(process);
    connection.close();
    pollfd end{other.number(), POLLIN, 0};
    CHECK(::poll(&end, 1, 30'000) == 1);
    kill_process(process->handle);
  }
}
