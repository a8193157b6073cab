// Runs a program without a shell and waits for it. Blocks: for job threads, never on a loop. Any number of threads.
//
// The program dies with us: the kernel kills it when the calling thread ends (PR_SET_PDEATHSIG). What it starts itself
// and lets run on (pg_ctl: the server) does not. It gets the limit on descriptors that we were started with.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct ProgramCall {
  std::vector<std::string> arguments;  // the first: an absolute path, or a name that is looked up in PATH
  Duration limit;                      // after it the program's process group is killed

  // NAME=value, on top of PATH, HOME, USER, LOGNAME and TZ. Nothing else is handed on: no PG* variable may lead the
  // program elsewhere.
  std::vector<std::string> environment = {};
  std::string os_user = {};  // whose rights it has; empty: ours. Another needs root
  std::string working_directory = "/";
  mode_t file_mask = 0077;
  std::string input = {};                // its standard input
  std::size_t output_bytes_max = 65536;  // of each stream the end is kept

  // Once this is requested the program's process group is killed, and none is started any more.
  std::stop_token break_off = {};
  // Where it must not be broken off at any moment: asked, every few milliseconds, from when that is requested.
  std::function<bool()> may_be_broken_off = {};
  // How long it may write nothing, to neither stream, before it is killed as one that hangs; asked again and again, so
  // that it may depend on what it does. Empty: as long as it likes.
  std::function<Duration()> silence_limit = {};
  // Called on the calling thread each second, or later, while it runs.
  std::function<void()> each_second = {};
  // Gets its standard output as it comes, on the calling thread; nothing of that is kept then.
  std::function<void(std::string_view)> use_output = {};
  // Told each line of standard error when it comes, on the calling thread. True: it is not kept.
  std::function<bool(std::string_view line)> take_error_line = {};
};

struct ProgramResult {
  int exit_status = 0;  // as a shell counts: 128 + signal where a signal ended it
  bool timed_out = false;
  bool fell_silent = false;
  bool broken_off = false;
  std::string output;
  std::string error_output;
};

// An error only where the program could not be started, or not any more.
Result<ProgramResult> run_program(const ProgramCall& call);

// Its standard output; an error also where it failed, with the last lines it wrote, or was broken off.
Result<std::string> run_checked(const ProgramCall& call);

}  // namespace pgkeel
