#include "proxy/io/descriptor_link.h"

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>

#include "proxy/io/loop.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr uid_t kNobodyElse = 61'234;  // whose limits are not root's, and nobody else's

std::pair<Descriptor, Descriptor> linked() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// Sends more descriptors than may be under way, and takes them out slowly. Whether all arrive.
bool all_arrive() {
  constexpr int kMessages = 100;
  const rlimit few{32, 32};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return false;
  if (::geteuid() == 0 && ::setresuid(kNobodyElse, kNobodyElse, kNobodyElse) != 0) return false;
  Loop loop;
  auto [ours, theirs] = linked();
  const Descriptor something(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  bool ended = false;
  DescriptorLink link(
      loop, std::move(ours), [](LinkMessage) {}, [&] { ended = true; });
  for (int number = 0; number < kMessages; ++number) {
    LinkMessage message;
    message.text = std::to_string(number);
    message.borrowed = {something.number()};
    link.send(std::move(message));
  }
  if (link.all_sent()) return false;  // there was no shortage
  int arrived = 0;
  const bool all = run_until(
      loop,
      [&] {
        const auto message = receive_and_wait(theirs, Duration::zero());
        if (message && message->text == std::to_string(arrived) && message->descriptors.size() == 1) ++arrived;
        return arrived == kMessages;
      },
      10s);
  return all && !ended && link.all_sent();
}

}  // namespace

TEST_CASE("messages wait while the kernel takes no more descriptors, and none is lost") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(all_arrive() ? EXIT_SUCCESS : EXIT_FAILURE);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == EXIT_SUCCESS);
}

TEST_CASE("a message that can never be sent ends the link") {
  Loop loop;
  auto [ours, theirs] = linked();
  const int small = 4096;
  REQUIRE(::setsockopt(ours.number(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
  bool ended = false;
  DescriptorLink link(
      loop, std::move(ours), [](LinkMessage) {}, [&] { ended = true; });
  link.send({.text = "first", .descriptors = {}});
  link.send({.text = std::string(kLinkMessageBytesMax, 'x'), .descriptors = {}});
  link.send({.text = "behind it", .descriptors = {}});
  CHECK_FALSE(ended);  // not from inside
  REQUIRE(run_until(
      loop, [&] { return ended; }, 10s));
  CHECK(receive_and_wait(theirs, 1s)->text == "first");
  CHECK_FALSE(receive_and_wait(theirs, Duration::zero()));
}
