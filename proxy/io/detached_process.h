// Starts a program that is no child of ours: it outlives us, and belongs to init (or to the service manager) from the
// start. Blocks for a moment. Any thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/descriptor.h"

namespace pgkeel {

struct DetachedProcess {
  pid_t pid = 0;
  Descriptor handle;  // a pidfd: readable once it has ended, and good to signal that very process
};

// `arguments`: the first is an absolute path. It has our environment, working directory and standard streams; of our
// other descriptors those that are not close-on-exec.
Result<DetachedProcess> start_detached(const std::vector<std::string>& arguments);

// A pidfd of a process; an error where there is none of this number.
Result<Descriptor> open_process(pid_t pid);
// SIGKILL for that very process.
void kill_process(const Descriptor& handle);

}  // namespace pgkeel
