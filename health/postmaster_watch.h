// Watches the postmaster of a data directory on this machine: its end is known in microseconds, long before a connect
// is refused. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>

#include "proxy/io/process_watch.h"

namespace pgkeel {

class Loop;

// The postmaster that postmaster.pid names; absent where there is no such file, or none that can be read.
std::optional<pid_t> read_postmaster_pid(const std::string& data_directory);

class PostmasterWatch {
 public:
  // `on_death` is called in the loop's round in which the process ended.
  PostmasterWatch(Loop& loop, std::string data_directory, std::function<void(std::string detail)> on_death);

  // Looks for the postmaster, unless one is watched already. `answers`: the server has just answered, so that
  // postmaster.pid is not left over from a dead one whose number another process bears now.
  void arm(bool answers);
  [[nodiscard]] bool armed() const { return watch_ != nullptr; }

 private:
  void exited();

  Loop& loop_;
  std::string data_directory_;
  std::function<void(std::string)> on_death_;
  std::unique_ptr<ProcessWatch> watch_;
};

}  // namespace pgkeel
