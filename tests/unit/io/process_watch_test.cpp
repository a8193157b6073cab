#include "proxy/io/process_watch.h"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

pid_t start_sleeper() {
  const pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  return pid;
}

}  // namespace

TEST_CASE("the end of a process is told once, even before anybody reaps it") {
  Loop loop;
  const pid_t pid = start_sleeper();
  int told = 0;
  auto watch = ProcessWatch::open(loop, pid, [&] { told += 1; });
  REQUIRE(watch.has_value());
  CHECK((*watch)->pid() == pid);
  CHECK_FALSE((*watch)->has_exited());
  kill(pid, SIGKILL);
  REQUIRE(run_until(loop, [&] { return told > 0; }));
  CHECK((*watch)->has_exited());
  waitpid(pid, nullptr, 0);
  bool later = false;
  loop.defer([&] { later = true; });
  REQUIRE(run_until(loop, [&] { return later; }));
  CHECK(told == 1);
}

TEST_CASE("the watch may be destroyed by its own callback") {
  Loop loop;
  const pid_t pid = start_sleeper();
  bool told = false;
  std::unique_ptr<ProcessWatch> watch;
  auto opened = ProcessWatch::open(loop, pid, [&] {
    watch.reset();
    told = true;
  });
  REQUIRE(opened.has_value());
  watch = std::move(*opened);
  kill(pid, SIGKILL);
  REQUIRE(run_until(loop, [&] { return told; }));
  waitpid(pid, nullptr, 0);
}

TEST_CASE("a process that is not there can't be watched") {
  Loop loop;
  const pid_t pid = start_sleeper();
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  const auto watch = ProcessWatch::open(loop, pid, [] {});
  REQUIRE_FALSE(watch.has_value());
  CHECK(watch.error().message == "cannot watch process " + std::to_string(pid) + ": No such process");
}
