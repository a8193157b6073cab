// Starts a program that is no child of ours: it outlives us, and belongs to init (or to the service manager) from the
// start. Any thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"

namespace pgkeel {

struct DetachedProcess {
  pid_t pid = 0;
  Descriptor handle;   // a pidfd: readable once it has ended, and good to signal that very process
  Descriptor failure;  // for why_not_executed()
};

// `arguments`: the first is an absolute path. It has our environment, working directory and standard streams, and none
// of our other descriptors. An error where it cannot be executed and the kernel says so within a tenth of a second: the
// disk of the program may hang for long, and whoever calls this may not.
// SIGHUP and SIGUSR2 are ignored there until it watches them.
Result<DetachedProcess> start_detached(const std::vector<std::string>& arguments);
// First thing in a program that means to watch SIGHUP and SIGUSR2: until it does, they do nothing, rather than end it.
// By a handler, as what is ignored would be ignored by the programs that it starts.
void hold_off_signals();
// Why the program was not executed after all, known once the process has ended; empty: it was.
std::string why_not_executed(const DetachedProcess& process);

// A pidfd of a process; an error where there is none of this number.
Result<Descriptor> open_process(pid_t pid);
// Blocks. False: it still runs.
bool process_ends_within(const Descriptor& handle, Duration limit);
// SIGKILL for that very process.
void kill_process(const Descriptor& handle);

}  // namespace pgkeel
