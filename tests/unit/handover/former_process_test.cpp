#include "proxy/handover/former_process.h"

#include <cstdint>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <doctest/doctest.h>

#include "proxy/io/detached_process.h"
#include "proxy/io/loop.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A process that obeys nothing, and ends when it is killed.
class Former {
 public:
  explicit Former(Loop& loop) {
    auto started = start_detached({"/bin/sleep", "1000"});
    REQUIRE(started);
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    its_end_ = Descriptor(ends[1]);
    handle_ = Descriptor(::fcntl(started->handle.number(), F_DUPFD_CLOEXEC, 0));
    FormerProcess::Callbacks callbacks;
    callbacks.gone = [this, &loop](const std::string&) {
      if (on_gone) on_gone();
      loop.defer([this, &loop] {
        process.reset();
        loop.defer([this] { is_over = true; });
      });
    };
    process = std::make_unique<FormerProcess>(
        loop, FormerHandle{.pid = started->pid, .link = Descriptor(ends[0]), .process = std::move(started->handle)},
        std::move(callbacks));
  }
  ~Former() { kill_process(handle_); }

  void kill() { kill_process(handle_); }
  HandoverMessage hears() {
    auto received = receive_and_wait(its_end_, std::chrono::seconds(30));
    REQUIRE(received);
    auto message = read_handover(std::move(*received));
    REQUIRE(message);
    return std::move(*message);
  }
  void says(HandoverWord word, std::uint64_t number) {
    HandoverMessage message;
    message.word = word;
    message.number = number;
    REQUIRE(send_and_wait(its_end_, write_handover(std::move(message))));
  }

  std::unique_ptr<FormerProcess> process;
  std::function<void()> on_gone;
  bool is_over = false;  // destroyed, and what was deferred by then has run

 private:
  Descriptor its_end_;
  Descriptor handle_;
};

Route route_of(std::uint64_t epoch, RouteMode mode = RouteMode::kDraining) {
  return {.epoch = epoch, .target = std::nullopt, .mode = mode, .reason = "a failed"};
}

}  // namespace

TEST_CASE("an order that a former process did not answer is answered by its death") {
  Loop loop;
  Former former(loop);
  bool applied = false, drained = false;
  former.process->publish_route(
      "c", route_of(1), [&] { applied = true; }, [&] { drained = true; });
  CHECK(!former.process->is_quiet());
  former.kill();
  REQUIRE(run_until(loop, [&] { return former.is_over; }));
  CHECK(applied);
  CHECK(drained);
}

TEST_CASE("an order that the answer to another one leads to, while a former process dies, is answered too") {
  Loop loop;
  Former former(loop);
  bool applied = false, drained = false;
  former.process->publish_route(
      "c", route_of(1),
      [&] {
        former.process->publish_route(
            "c", route_of(2), [&] { applied = true; }, [&] { drained = true; });
        CHECK(!applied);  // not from inside
      },
      [] {});
  former.kill();
  REQUIRE(run_until(loop, [&] { return former.is_over; }));
  CHECK(applied);
  CHECK(drained);
}

TEST_CASE("an order to a former process that is dead, and not forgotten yet, is answered") {
  Loop loop;
  Former former(loop);
  bool applied = false, drained = false;
  former.on_gone = [&] {
    former.process->publish_route(
        "c", route_of(1), [&] { applied = true; }, [&] { drained = true; });
    CHECK(!applied);
  };
  former.kill();
  REQUIRE(run_until(loop, [&] { return former.is_over; }));
  CHECK(applied);
  CHECK(drained);
}

TEST_CASE("a former process is told that an address leaves, and to end its sessions, which it answers or dies of") {
  Loop loop;
  Former former(loop);
  former.process->end_clients_of(*parse_ip_address("10.0.0.9"));
  const HandoverMessage leaves = former.hears();
  CHECK(leaves.word == HandoverWord::kAddressLeaves);
  CHECK(leaves.text == "10.0.0.9");
  bool first_ended = false, second_ended = false;
  former.process->end_sessions("it is stopped", [&] { first_ended = true; });
  const HandoverMessage end = former.hears();
  CHECK(end.word == HandoverWord::kEnd);
  CHECK(end.text == "it is stopped");
  CHECK(!first_ended);
  former.says(HandoverWord::kApplied, end.number);
  REQUIRE(run_until(loop, [&] { return first_ended; }));
  CHECK(former.process->is_quiet());
  CHECK(!former.is_over);
  former.process->end_sessions("it is stopped", [&] { second_ended = true; });
  former.kill();
  REQUIRE(run_until(loop, [&] { return former.is_over; }));
  CHECK(second_ended);
}

TEST_CASE("a former process is quiet once it has applied a route, unless that drains and no newer one has come") {
  Loop loop;
  Former former(loop);
  int applied = 0, drained = 0;
  const auto publish = [&](RouteMode mode, std::uint64_t epoch) {
    former.process->publish_route(
        "test", route_of(epoch, mode), [&] { ++applied; }, [&] { ++drained; });
    const HandoverMessage order = former.hears();
    CHECK(!former.process->is_quiet());
    former.says(HandoverWord::kApplied, order.number);
    REQUIRE(run_until(loop, [&, wanted = applied + 1] { return applied == wanted; }));
    return order.number;
  };
  publish(RouteMode::kNormal, 1);
  CHECK(former.process->is_quiet());
  publish(RouteMode::kDraining, 1);
  CHECK(!former.process->is_quiet());
  publish(RouteMode::kNormal, 2);
  CHECK(former.process->is_quiet());
  const auto number = publish(RouteMode::kDraining, 2);
  former.says(HandoverWord::kDrained, number);
  REQUIRE(run_until(loop, [&] { return drained == 1; }));
  CHECK(former.process->is_quiet());
}
