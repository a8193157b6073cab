// A program that runs beside us until it is ended: started without a shell, its output in a file. It dies with the
// thread that started it. One thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

class BackgroundProcess {
 public:
  // `arguments`: the first is an absolute path. It gets a process group of its own: a terminal's Ctrl-C does not reach
  // it.
  static Result<BackgroundProcess> start(const std::vector<std::string>& arguments, const std::string& output_file);
  ~BackgroundProcess();  // SIGKILL, where it still runs
  BackgroundProcess(BackgroundProcess&& other) noexcept;
  BackgroundProcess& operator=(BackgroundProcess&&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();

  // SIGTERM; SIGKILL where it has not ended within `limit`.
  void end(Duration limit);

 private:
  explicit BackgroundProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;  // -1: it has ended
};

}  // namespace pgkeel
