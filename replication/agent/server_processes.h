// The processes of one PostgreSQL server, found in /proc by their working folder: a postmaster and all its children
// stand in the data directory as long as they live, also when the postmaster is gone. Any thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/time.h"

namespace pgkeel {

struct ServerProcesses {
  std::vector<pid_t> pids;
  std::vector<pid_t> unidentified;  // PostgreSQL processes of the directory's owner whose folder we may not read
};

// Dead processes that nobody has reaped do not count.
ServerProcesses find_server_processes(const std::string& data_directory);

// Sends the signal if the process (still) belongs to the server: its number may be somebody else's by now.
void signal_server_process(const std::string& data_directory, pid_t pid, int signal);

// Returns when the process has ended, or `limit` is over; on a kernel that does not tell, also after a moment.
void wait_for_process_end(pid_t pid, Duration limit);

// Number and rest of /proc/PID/stat: "S" sleeping, "T" stopped, "Z" dead …; 0 where there is no such process.
char process_state(pid_t pid);

}  // namespace pgkeel
