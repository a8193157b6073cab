#include "proxy/handover/handover_giver.h"

#include <csignal>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"
#include "tests/unit/handover/scripted_owner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

void decides(const Descriptor& link) {
  come_to_ready(link);
  hear(link, HandoverWord::kGiven);
  say(link, HandoverWord::kReceived);
  hear(link, HandoverWord::kGo);
}

void serves(const Descriptor& link) {
  decides(link);
  say(link, HandoverWord::kServing);
}

}  // namespace

TEST_CASE("a process that decides and does not serve is ended, and this one goes on") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.serve = 100ms});
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), decides);
  CHECK(run_until(
      loop, [&] { return owner.taken_back.has_value(); }, 10s));
  CHECK(owner.has_let_go);
  CHECK(owner.taken_back == true);
  CHECK(owner.failure.find("it took too long") != std::string::npos);
  CHECK_FALSE((*giver)->is_under_way());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a process that serves may be quiet for as long as it likes") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.serve = 100ms});
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), serves);
  CHECK(run_until(
      loop, [&] { return owner.is_served; }, 10s));
  CHECK_FALSE(run_until(
      loop, [&] { return owner.taken_back || !owner.ended.empty(); }, 300ms));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(run_until(
      loop, [&] { return !owner.ended.empty(); }, 10s));
}

TEST_CASE("a former process obeys: who came by an address is told, and sessions have ended before it says so") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), [](const Descriptor& link) {
    serves(link);
    say(link, HandoverWord::kAddressLeaves, 0, "10.0.0.9");
    say(link, HandoverWord::kEnd, 7);
    hear(link, HandoverWord::kApplied);
    ::_exit(0);
  });
  CHECK(run_until(
      loop, [&] { return owner.sessions_ended != nullptr; }, 10s));
  CHECK(owner.left == "10.0.0.9");
  CHECK_FALSE(run_until(
      loop, [&] { return !owner.ended.empty(); }, 100ms));
  if (owner.sessions_ended) owner.sessions_ended();
  CHECK(run_until(
      loop, [&] { return !owner.ended.empty(); }, 10s));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
}

TEST_CASE("an address that is none is no order") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), [](const Descriptor& link) {
    serves(link);
    say(link, HandoverWord::kAddressLeaves, 0, "10.0.0");
  });
  CHECK(run_until(
      loop, [&] { return !owner.ended.empty(); }, 10s));
  CHECK(owner.left.empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("what is not over by the time that the new process is ready is told to it, and nothing was given up") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  owner.holds_ready = true;
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), [](const Descriptor& link) {
    come_to_ready(link);
    ::_exit(hear(link, HandoverWord::kRefused) == "something is being written" ? 0 : 2);
  });
  REQUIRE(run_until(loop, [&] { return !owner.held_ready.empty(); }));
  owner.why_not = "something is being written";
  owner.held_ready.front()();
  CHECK(owner.failure ==
        "process " + std::to_string(child) + " did not take over: refused: something is being written");
  CHECK(exit_status_of(loop, child) == 0);
  CHECK_FALSE((*giver)->is_under_way());
  CHECK_FALSE(owner.has_given_up);
  CHECK_FALSE(owner.taken_back);
}

TEST_CASE("one that dies while this process gets ready is followed by another one, and is given nothing later") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  owner.holds_ready = true;
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t first = start_other(folder.path(), [](const Descriptor& link) {
    come_to_ready(link);
    ::pause();
  });
  REQUIRE(run_until(loop, [&] { return owner.held_ready.size() == 1; }));
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
  REQUIRE(run_until(loop, [&] { return !owner.failure.empty(); }));
  CHECK_FALSE((*giver)->is_under_way());

  const pid_t second = start_other(folder.path(), serves);
  REQUIRE(run_until(loop, [&] { return owner.held_ready.size() == 2; }));
  owner.held_ready[0]();
  CHECK_FALSE(owner.has_given_up);
  owner.held_ready[1]();
  CHECK(owner.has_given_up);
  CHECK(run_until(loop, [&] { return owner.is_served; }));
  CHECK_FALSE(owner.taken_back);
  ::kill(second, SIGKILL);
  ::waitpid(second, nullptr, 0);
}

TEST_CASE("where this process takes too long to let go the new one is refused and left alone, and this one goes on") {
  const TemporaryFolder folder;
  Loop loop;
  ScriptedOwner owner(loop);
  owner.holds_given = true;
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.give = 100ms});
  REQUIRE(giver);
  const pid_t child = start_other(folder.path(), [](const Descriptor& link) {
    come_to_ready(link);
    ::_exit(hear(link, HandoverWord::kRefused) == "this process took too long to let go" ? 0 : 2);
  });
  CHECK(exit_status_of(loop, child) == 0);
  REQUIRE(owner.held_given);
  CHECK((*giver)->is_under_way());
  CHECK(owner.failure.empty());
  owner.held_given({});
  CHECK(owner.failure ==
        "process " + std::to_string(child) + " did not take over: refused: this process took too long to let go");
  CHECK(owner.taken_back == false);
  CHECK_FALSE((*giver)->is_under_way());
}
