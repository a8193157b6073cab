#include "proxy/io/detached_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/io/descriptor_limit.h"

namespace pgkeel {
namespace {

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error{std::string("no pipe can be had: ") + std::strerror(errno)};
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace

Result<DetachedProcess> start_detached(const std::vector<std::string>& arguments) {
  std::vector<char*> argument_pointers;
  for (const auto& argument : arguments) argument_pointers.push_back(const_cast<char*>(argument.c_str()));
  argument_pointers.push_back(nullptr);
  auto number = make_pipe();   // tells us the grandchild's
  auto start = make_pipe();    // tells it that we hold its handle
  auto failure = make_pipe();  // ends where the program runs, and tells why where it does not
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
    char go = 0;
    if (::read(start->read_end.number(), &go, 1) != 1) ::_exit(127);
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
  int reason = 0;
  ssize_t told = 0;
  while ((told = ::read(failure->read_end.number(), &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (told != sizeof reason) return process;
  return Error{arguments.front() + " cannot be executed: " + std::strerror(reason)};
}

Result<Descriptor> open_process(pid_t pid) {
  Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec by itself
  if (!handle.is_open()) return Error{"process " + std::to_string(pid) + " cannot be watched: " + std::strerror(errno)};
  return handle;
}

void kill_process(const Descriptor& handle) {
  ::syscall(SYS_pidfd_send_signal, handle.number(), SIGKILL, nullptr, 0);
}

}  // namespace pgkeel
