#include "proxy/io/process_watch.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "proxy/io/fd_watch.h"
#include "proxy/io/loop.h"

namespace pgkeel {

struct ProcessWatch::Inner {
  ~Inner() {
    watch.reset();
    close(descriptor);
  }

  int descriptor = -1;
  std::function<void()> on_exit;
  std::unique_ptr<FdWatch> watch;
};

Result<std::unique_ptr<ProcessWatch>> ProcessWatch::open(Loop& loop, pid_t pid, std::function<void()> on_exit) {
  const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
  if (descriptor < 0) {
    return Error{"cannot watch process " + std::to_string(pid) + ": " + std::strerror(errno)};
  }
  auto inner = std::make_unique<Inner>();
  inner->descriptor = descriptor;
  inner->on_exit = std::move(on_exit);
  inner->watch = std::make_unique<FdWatch>(loop, descriptor, [raw = inner.get()](FdInterest) {
    raw->watch->set_interest({});
    const auto exited = std::exchange(raw->on_exit, nullptr);  // it may destroy us
    if (exited) exited();
  });
  inner->watch->set_interest({.readable = true});
  return std::unique_ptr<ProcessWatch>(new ProcessWatch(pid, std::move(inner)));
}

ProcessWatch::ProcessWatch(pid_t pid, std::unique_ptr<Inner> inner) : pid_(pid), inner_(std::move(inner)) {}
ProcessWatch::~ProcessWatch() = default;

bool ProcessWatch::has_exited() const {
  pollfd descriptor{inner_->descriptor, POLLIN, 0};
  return poll(&descriptor, 1, 0) == 1;
}

}  // namespace pgkeel
