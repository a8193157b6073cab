#include "proxy/handover/handover_giver.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/handover/takeover.h"
#include "proxy/io/loop.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Owner : HandoverGiver::Owner {
  explicit Owner(Loop& its_loop) : loop(its_loop) {}

  std::string why_no_handover() const override { return ""; }
  std::vector<NamedSocket> listening_sockets() const override { return {}; }
  void get_ready(std::function<void()> ready) override {
    ++times_ready;
    loop.defer(std::move(ready));
  }
  void give_up(pid_t, std::function<void(std::vector<LinkMessage>)> given) override {
    loop.defer([given = std::move(given)] { given({}); });
  }
  void take_back(bool released) override { taken_back = released; }
  void let_go() override { has_let_go = true; }
  void successor_serves(pid_t) override { is_served = true; }
  void publish_route(const std::string&, Route, std::function<void()>, std::function<void()>) override {}
  void set_write_deadline(const std::string&, Instant) override {}
  void end_clients_of(const IpAddress& address) override { left = format_ip_address(address); }
  void end_sessions(const std::string&, std::function<void()> ended_there) override {
    sessions_ended = std::move(ended_there);
  }
  bool may_follow(const std::string&, const Route&) const override { return true; }
  void end(const std::string& why) override { ended = why; }
  void handover_failed(const std::string& why) override { failure = why; }

  Loop& loop;
  std::optional<bool> taken_back;  // whether it had let go
  int times_ready = 0;
  bool has_let_go = false;
  bool is_served = false;
  std::string left;                      // the address
  std::function<void()> sessions_ended;  // to be called
  std::string ended;
  std::string failure;
};

void say(const Descriptor& link, HandoverWord word, std::uint64_t number = 0, std::string text = {}) {
  HandoverMessage message;
  message.word = word;
  message.text = std::move(text);
  message.number = number;
  static_cast<void>(send_and_wait(link, write_handover(std::move(message))));
}

void hear(const Descriptor& link, HandoverWord word) {
  while (true) {
    auto received = receive_and_wait(link, 30s);
    if (!received) ::_exit(1);
    const auto message = read_handover(std::move(*received));
    if (message && message->word == word) return;
  }
}

// A process that takes over, up to the point where it decides, and hangs then.
pid_t start_one_that_hangs(const std::string& folder, bool serves,
                           const std::function<void(const Descriptor&)>& then = {}) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  const auto link = connect_link(folder, kHandoverSocket);
  if (!link) ::_exit(1);
  say(*link, HandoverWord::kHello, kHandoverVersion);
  hear(*link, HandoverWord::kOffered);
  say(*link, HandoverWord::kReady);
  hear(*link, HandoverWord::kGiven);
  say(*link, HandoverWord::kReceived);
  hear(*link, HandoverWord::kGo);
  if (serves) say(*link, HandoverWord::kServing);
  if (then) then(*link);
  while (true) ::pause();
}

}  // namespace

TEST_CASE("a process that decides and does not serve is ended, and this one goes on") {
  const TemporaryFolder folder;
  Loop loop;
  Owner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.serve = 100ms});
  REQUIRE(giver);
  const pid_t child = start_one_that_hangs(folder.path(), false);
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
  Owner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.serve = 100ms});
  REQUIRE(giver);
  const pid_t child = start_one_that_hangs(folder.path(), true);
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
  Owner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t child = start_one_that_hangs(folder.path(), true, [](const Descriptor& link) {
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
  Owner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner);
  REQUIRE(giver);
  const pid_t child = start_one_that_hangs(
      folder.path(), true, [](const Descriptor& link) { say(link, HandoverWord::kAddressLeaves, 0, "10.0.0"); });
  CHECK(run_until(
      loop, [&] { return !owner.ended.empty(); }, 10s));
  CHECK(owner.left.empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a new process that says nothing is ended, and another one may be started") {
  const TemporaryFolder folder;
  Loop loop;
  Owner owner(loop);
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

TEST_CASE("a new process that greets and goes no further is ended too: it has our sockets") {
  const TemporaryFolder folder;
  Loop loop;
  Owner owner(loop);
  auto giver = HandoverGiver::open(loop, folder.path(), owner, {.start = 100ms});
  REQUIRE(giver);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto link = connect_link(folder.path(), kHandoverSocket);
    if (!link) ::_exit(1);
    say(*link, HandoverWord::kHello, kHandoverVersion);
    while (true) ::pause();
  }
  CHECK(run_until(
      loop, [&] { return !owner.failure.empty(); }, 10s));
  CHECK_MESSAGE(owner.failure.find("it took too long, and was ended") != std::string::npos, owner.failure);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(owner.taken_back);
}

TEST_CASE("a program that cannot be executed is refused with the reason, and is not under way") {
  const TemporaryFolder folder;
  Loop loop;
  Owner owner(loop);
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
