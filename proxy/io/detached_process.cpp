#include "proxy/io/detached_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"

namespace pgkeel {
namespace {

constexpr int kExecutionLimitMs = 100;
constexpr std::array kWatchedSoon = {SIGHUP, SIGUSR2};

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error{std::string("no pipe can be had: ") + std::strerror(errno)};
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

// All but the standard streams and this one. Until the program is executed, which may take long, a connection that we
// close would stay open, and a lock that we held would outlive us.
void close_inherited(int kept) {
  const auto number = static_cast<unsigned>(kept);
  if (number > 3) ::close_range(3, number - 1, 0);
  ::close_range(std::max(number + 1, 3U), ~0U, 0);
}

}  // namespace

Result<DetachedProcess> start_detached(const std::vector<std::string>& arguments) {
  std::vector<char*> argument_pointers;
  for (const auto& argument : arguments) argument_pointers.push_back(const_cast<char*>(argument.c_str()));
  argument_pointers.push_back(nullptr);
  auto number = make_pipe();   // tells us the grandchild's
  auto start = make_pipe();    // tells it that we hold its handle
  auto failure = make_pipe();  // ends where the program runs, and tells errno where it does not
  if (!number) return number.error();
  if (!start) return start.error();
  if (!failure) return failure.error();

  const pid_t child = ::fork();
  if (child < 0) return Error{arguments.front() + " cannot be started: " + std::strerror(errno)};
  if (child == 0) {
    // Only async-signal-safe calls from here on.
    const pid_t grandchild = ::fork();
    if (grandchild != 0) {
      const bool told = ::write(number->write_end.number(), &grandchild, sizeof grandchild) > 0;
      ::_exit(told && grandchild > 0 ? 0 : 127);
    }
    ::close(start->write_end.number());
    for (const int signal_number : kWatchedSoon) std::signal(signal_number, SIG_IGN);
    char go = 0;
    if (::read(start->read_end.number(), &go, 1) != 1) ::_exit(127);
    close_inherited(failure->write_end.number());
    ::setsid();
    restore_descriptor_limit();
    ::execv(argument_pointers[0], argument_pointers.data());
    const int reason = errno;
    const bool told = ::write(failure->write_end.number(), &reason, sizeof reason) > 0;
    ::_exit(told ? 126 : 127);
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  DetachedProcess process;
  if (::read(number->read_end.number(), &process.pid, sizeof process.pid) != sizeof process.pid || process.pid <= 0)
    return Error{arguments.front() + " cannot be started: no process can be had"};
  auto handle = open_process(process.pid);
  if (!handle) return handle.error();  // it ends, as nobody tells it to start
  process.handle = std::move(*handle);
  failure->write_end.close();
  if (::write(start->write_end.number(), "g", 1) != 1) return Error{arguments.front() + " cannot be started"};
  process.failure = std::move(failure->read_end);
  if (::fcntl(process.failure.number(), F_SETFL, O_NONBLOCK) != 0) return Error{"a pipe cannot be used"};
  pollfd told{process.failure.number(), POLLIN, 0};
  while (::poll(&told, 1, kExecutionLimitMs) < 0 && errno == EINTR) {
  }
  if (const auto why_not = why_not_executed(process); !why_not.empty()) return Error{arguments.front() + " " + why_not};
  return process;
}

std::string why_not_executed(const DetachedProcess& process) {
  int reason = 0;
  if (::read(process.failure.number(), &reason, sizeof reason) != sizeof reason) return "";
  return std::string("cannot be executed: ") + std::strerror(reason);
}

void hold_off_signals() {
  for (const int number : kWatchedSoon) std::signal(number, [](int) {});
}

Result<Descriptor> open_process(pid_t pid) {
  Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec by itself
  if (!handle.is_open()) return Error{"process " + std::to_string(pid) + " cannot be watched: " + std::strerror(errno)};
  return handle;
}

bool process_ends_within(const Descriptor& handle, Duration limit) {
  const Instant deadline = monotonic_now() + limit;
  pollfd watched{.fd = handle.number(), .events = POLLIN, .revents = 0};
  while (true) {
    const auto left = std::max<std::int64_t>(0, to_milliseconds(deadline - monotonic_now()));
    const int ready = ::poll(&watched, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

void kill_process(const Descriptor& handle) {
  ::syscall(SYS_pidfd_send_signal, handle.number(), SIGKILL, nullptr, 0);
}

}  // namespace pgkeel
