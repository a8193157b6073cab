#include "proxy/io/child_process.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/os_user.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

Result<ProgramResult> shell(const std::string& script, Duration limit = 20s) {
  return run_program({.arguments = {"sh", "-c", script}, .limit = limit});
}

}  // namespace

TEST_CASE("a program's output, error output and status come back") {
  const auto ran = shell("echo out; echo err >&2; exit 3");
  REQUIRE(ran);
  CHECK(ran->output == "out\n");
  CHECK(ran->error_output == "err\n");
  CHECK(ran->exit_status == 3);
  CHECK(shell("kill -9 $$")->exit_status == 137);
}

TEST_CASE("arguments are handed over as they are, without a shell") {
  const auto ran = run_program({.arguments = {"printf", "%s|", "a b", "$HOME", "'\"", ""}, .limit = 20s});
  CHECK(ran->output == "a b|$HOME|'\"||");
}

TEST_CASE("a program that cannot be started is an error that names it") {
  const auto ran = run_program({.arguments = {"/no/such/program"}, .limit = 1s});
  REQUIRE_FALSE(ran);
  CHECK(ran.error().message == "cannot run /no/such/program: No such file or directory");
  CHECK_FALSE(run_program({.arguments = {"true"}, .limit = 1s, .os_user = "no-such-user"}));
}

TEST_CASE("input is fed and long output is read meanwhile, keeping its end") {
  const std::string input(1'000'000, 'x');
  const auto ran = run_program({.arguments = {"sh", "-c", "cat; echo end"}, .limit = 20s, .input = input});
  CHECK(ran->output.size() == 65536);
  CHECK(ran->output.ends_with("xend\n"));
  // Nobody reads it: no error, no SIGPIPE.
  CHECK(run_program({.arguments = {"true"}, .limit = 20s, .input = input})->exit_status == 0);
}

TEST_CASE("work that is broken off ends its program, with what that started, and starts none any more") {
  std::stop_source work;
  const test::TemporaryFolder folder;
  const std::string started = folder.path() + "/started";
  const ProgramCall call{
      .arguments = {"sh", "-c", "sleep 600 & echo $! > \"$0\"; mv \"$0\" \"$1\"; wait", started + ".new", started},
      .limit = 60s,
      .break_off = work.get_token()};
  std::jthread breaker([&] {
    CHECK(test::wait_until([&] { return std::filesystem::exists(started); }));
    work.request_stop();
  });
  const auto ran = run_program(call);
  breaker.join();
  REQUIRE(ran);
  CHECK(ran->broken_off);
  CHECK_FALSE(ran->timed_out);
  CHECK(ran->exit_status == 137);
  pid_t left_running = 0;
  std::ifstream(started) >> left_running;
  REQUIRE(left_running > 0);
  CHECK(test::wait_until([&] { return kill(left_running, 0) != 0; }));

  const auto not_started = run_program(call);
  REQUIRE_FALSE(not_started);
  CHECK(not_started.error().message == "cannot run sh: the work was broken off");
}

TEST_CASE("a program that falls silent is killed, and one that says something now and then is not") {
  const auto run = [](const std::string& script, const std::function<Duration()>& silence_limit) {
    return run_program({.arguments = {"sh", "-c", script}, .limit = 60s, .silence_limit = silence_limit});
  };
  const auto silent = run("echo begun >&2; exec sleep 600", [] { return 300ms; });
  REQUIRE(silent);
  CHECK(silent->fell_silent);
  CHECK_FALSE(silent->timed_out);
  CHECK(silent->error_output == "begun\n");
  const auto told =
      run_checked({.arguments = {"sh", "-c", "exec sleep 600"}, .limit = 60s, .silence_limit = [] { return 200ms; }});
  REQUIRE_FALSE(told);
  CHECK(told.error().message.starts_with("sh fell silent for 200ms and was killed"));
  const auto talks = run("for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done", [] { return 30s; });
  REQUIRE(talks);
  CHECK_FALSE(talks->fell_silent);
  CHECK(talks->output == "1\n2\n3\n4\n5\n6\n");
  // It may change with what the program does.
  bool in_the_middle = false;
  const auto later = run_program({.arguments = {"sh", "-c", "sleep 1; echo begun; exec sleep 600"},
                                  .limit = 60s,
                                  .silence_limit = [&] { return in_the_middle ? 100ms : 60s; },
                                  .use_output = [&](std::string_view) { in_the_middle = true; }});
  REQUIRE(later);
  CHECK(later->fell_silent);
}

TEST_CASE("while a program runs, its caller may look after it each second") {
  int looks = 0;
  const test::TemporaryFolder folder;
  const auto ran =
      run_program({.arguments = {"sh", "-c", "until [ -e \"$0\" ]; do sleep 0.1; done", folder.path() + "/on"},
                   .limit = 60s,
                   .each_second = [&] {
                     if (++looks == 2) std::ofstream(folder.path() + "/on");
                   }});
  REQUIRE(ran);
  CHECK(ran->exit_status == 0);
  CHECK(looks >= 2);
}

TEST_CASE("a program is broken off only when it may be") {
  const test::TemporaryFolder folder;
  const std::string done = folder.path() + "/done";
  std::stop_source work;
  int asked = 0;
  const auto may_be_broken_off = [&] {
    if (++asked == 3) std::ofstream(folder.path() + "/go-on");
    return std::filesystem::exists(done);
  };
  const std::string script = "cd \"$0\"; touch begun; until [ -e go-on ]; do :; done; touch done; exec sleep 600";
  std::jthread breaker([&] {
    CHECK(test::wait_until([&] { return std::filesystem::exists(folder.path() + "/begun"); }));
    work.request_stop();
  });
  const auto ran = run_program({.arguments = {"sh", "-c", script, folder.path()},
                                .limit = 60s,
                                .break_off = work.get_token(),
                                .may_be_broken_off = may_be_broken_off});
  breaker.join();
  REQUIRE(ran);
  CHECK(ran->broken_off);
  CHECK(std::filesystem::exists(done));
}

TEST_CASE("a program gets the limit on descriptors that we were started with, not the one that we raised") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit modest{200, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &modest) == 0);
  CHECK(raise_descriptor_limit() == before.rlim_max);
  const auto ran = shell("ulimit -n");
  rlimit raised{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &raised) == 0);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(raised.rlim_cur == before.rlim_max);
  CHECK(ran->output == "200\n");
}

TEST_CASE("only a clean environment is handed on") {
  setenv("PGHOST", "elsewhere", 1);
  const auto ran = run_program({.arguments = {"env"}, .limit = 20s, .environment = {"LC_ALL=C"}});
  unsetenv("PGHOST");
  CHECK(ran->output.find("PGHOST") == std::string::npos);
  CHECK(ran->output.find("LC_ALL=C\n") != std::string::npos);
  CHECK(ran->output.find("HOME=") != std::string::npos);
}

TEST_CASE("a program past its limit is killed with what it started") {
  const test::TemporaryFolder folder;
  const auto pid_file = folder.path() + "/pid";
  const auto ran = shell("sleep 600 & echo $! > " + pid_file + "; wait", 300ms);
  REQUIRE(ran);
  CHECK(ran->timed_out);
  CHECK(ran->exit_status == 137);
  pid_t sleeper = 0;
  std::ifstream(pid_file) >> sleeper;
  REQUIRE(sleeper > 0);
  CHECK(test::wait_until([&] { return kill(sleeper, 0) != 0; }));
}

TEST_CASE("a process that it leaves behind does not keep us waiting") {
  const test::TemporaryFolder folder;
  const auto pid_file = folder.path() + "/pid";
  const auto begin = monotonic_now();
  const auto ran = shell("setsid sleep 600 & echo $! > " + pid_file + "; echo done", 60s);
  CHECK(ran->output == "done\n");
  CHECK(monotonic_now() - begin < 30s);
  pid_t sleeper = 0;
  std::ifstream(pid_file) >> sleeper;
  CHECK(kill(sleeper, SIGKILL) == 0);
}

TEST_CASE("a program dies with us") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    // The program's own standard error tells its number through the inherited pipe, since run_program closes others.
    (void)run_program({.arguments = {"sh", "-c",
                                     "echo $$ > /proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(ends[1]) +
                                         "; exec sleep 600"},
                       .limit = 60s});
    _exit(0);
  }
  char text[32] = {};
  REQUIRE(read(ends[0], text, sizeof text - 1) > 0);
  REQUIRE(kill(child, SIGKILL) == 0);
  waitpid(child, nullptr, 0);
  const pid_t program = std::atoi(text);
  REQUIRE(program > 0);
  CHECK(test::wait_until([&] { return kill(program, 0) != 0; }));
}

TEST_CASE("a program runs as another user where we are root") {
  const auto user = find_os_user(test::server_user());
  const auto ran = run_program({.arguments = {"id", "-u"}, .limit = 20s, .os_user = user->name});
  REQUIRE(ran);
  CHECK(ran->output == std::to_string(user->uid) + "\n");
  if (geteuid() == 0) {
    CHECK(run_program({.arguments = {"id", "-G"}, .limit = 20s, .os_user = user->name})->output.find(" 0") ==
          std::string::npos);
  }
}

TEST_CASE("a failed program's last words are in the error") {
  const auto failed = run_checked({.arguments = {"sh", "-c", "echo one >&2; echo two >&2; exit 7"}, .limit = 20s});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "sh failed with status 7: one; two");
}

TEST_CASE("lines of error output are told as they come, and those that are taken are not kept") {
  std::vector<std::string> told;
  const auto ran = run_program(
      {.arguments = {"sh", "-c", "for i in 1 2 3; do echo at $i >&2; done; echo why >&2; echo -n end >&2; exit 1"},
       .limit = 20s,
       .take_error_line = [&](std::string_view line) {
         told.emplace_back(line);
         return line.starts_with("at ");
       }});
  REQUIRE(ran);
  CHECK(told == std::vector<std::string>{"at 1", "at 2", "at 3", "why"});
  CHECK(ran->error_output == "why\nend");
}
