#include "proxy/io/child_process.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <optional>
#include <poll.h>
#include <stop_token>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/os_user.h"

namespace pgkeel {
namespace {

constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { reset(); }
  void reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error{std::string("no pipe: ") + std::strerror(errno)};
  Pipe made{Descriptor(ends[0]), Descriptor(ends[1])};
  // Not 0 to 2, should ours be closed: the child puts its streams there.
  for (auto* end : {&made.read_end, &made.write_end}) {
    if (end->number() < 3) *end = Descriptor(fcntl(end->number(), F_DUPFD_CLOEXEC, 3));
    if (!end->open()) return Error{std::string("no pipe: ") + std::strerror(errno)};
  }
  return made;
}

std::string find_in_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::string_view rest = kSearchPath;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const auto candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return name;
}

// Everything the child needs between fork and exec, made before: there only async-signal-safe calls are allowed.
struct Launch {
  std::string path;
  std::vector<std::string> environment;
  std::vector<char*> argument_pointers;
  std::vector<char*> environment_pointers;
  std::optional<OsUser> become;
  const char* working_directory = nullptr;
  mode_t file_mask = 0;
  pid_t parent = 0;
  int input = -1;
  int output = -1;
  int error_output = -1;
  int report = -1;  // errno of a failed step goes here
};

[[noreturn]] void fail_child(const Launch& launch) {
  const int code = errno;
  [[maybe_unused]] const auto written = write(launch.report, &code, sizeof code);
  _exit(127);
}

[[noreturn]] void become_program(const Launch& launch) {
  setpgid(0, 0);
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &plain, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  restore_descriptor_limit();
  if (dup2(launch.input, 0) < 0 || dup2(launch.output, 1) < 0 || dup2(launch.error_output, 2) < 0) fail_child(launch);
  if (launch.become) {
    const auto& user = *launch.become;
    if (setgroups(user.groups.size(), user.groups.data()) != 0) fail_child(launch);
    if (setresgid(user.gid, user.gid, user.gid) != 0) fail_child(launch);
    if (setresuid(user.uid, user.uid, user.uid) != 0) fail_child(launch);
  }
  // After the change of user, which would clear it. We may have lost our parent before.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail_child(launch);
  if (getppid() != launch.parent) _exit(127);
  umask(launch.file_mask);
  if (chdir(launch.working_directory) != 0) fail_child(launch);
  constexpr unsigned kMarkOnly = 4;  // CLOSE_RANGE_CLOEXEC; where the kernel lacks it, ours are O_CLOEXEC anyhow
  syscall(SYS_close_range, 3U, ~0U, kMarkOnly);
  execve(launch.path.c_str(), launch.argument_pointers.data(), launch.environment_pointers.data());
  fail_child(launch);
}

std::vector<std::string> clean_environment(const ProgramCall& call, const OsUser& user) {
  std::vector<std::string> environment = {std::string("PATH=") + kSearchPath, "HOME=" + user.home, "USER=" + user.name,
                                          "LOGNAME=" + user.name};
  if (const char* zone = std::getenv("TZ")) environment.push_back(std::string("TZ=") + zone);
  environment.insert(environment.end(), call.environment.begin(), call.environment.end());
  return environment;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// One end of a stream to or from the program.
struct Stream {
  Descriptor descriptor;
  std::string text;
  std::size_t offered = 0;  // of its lines
};

constexpr Duration kTick = std::chrono::seconds(1);

void read_stream(Stream& stream, std::size_t bytes_max, const std::function<void(std::string_view)>& use = {}) {
  std::array<char, 16384> buffer;
  const auto count = read(stream.descriptor.number(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    stream.descriptor.reset();
    return;
  }
  if (use) return use(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  stream.text.append(buffer.data(), static_cast<std::size_t>(count));
  if (stream.text.size() <= bytes_max) return;
  const std::size_t too_many = stream.text.size() - bytes_max;
  stream.text.erase(0, too_many);
  stream.offered -= std::min(stream.offered, too_many);
}

void offer_lines(Stream& stream, const std::function<bool(std::string_view)>& take) {
  if (!take) return;
  for (std::size_t end = 0; (end = stream.text.find('\n', stream.offered)) != std::string::npos;) {
    const auto line = std::string_view(stream.text).substr(stream.offered, end - stream.offered);
    if (take(line)) {
      stream.text.erase(stream.offered, end + 1 - stream.offered);
    } else {
      stream.offered = end + 1;
    }
  }
}

void write_stream(Stream& stream) {
  // A program that does not read its input is no error of ours; SIGPIPE must not end us.
  sigset_t pipe_signal;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const auto count = write(stream.descriptor.number(), stream.text.data(), stream.text.size());
  const int code = errno;
  if (count < 0 && code == EPIPE) {
    const timespec no_wait{};
    sigtimedwait(&pipe_signal, nullptr, &no_wait);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (count < 0 && (code == EAGAIN || code == EINTR)) return;
  stream.text.erase(0, count < 0 ? stream.text.size() : static_cast<std::size_t>(count));
  if (stream.text.empty()) stream.descriptor.reset();
}

void make_nonblocking(const Descriptor& descriptor) {
  fcntl(descriptor.number(), F_SETFL, fcntl(descriptor.number(), F_GETFL) | O_NONBLOCK);
}

// An event that poll() sees once `token` is requested. Where no descriptor can be had it is looked for now and then.
class BreakOffWatch {
 public:
  explicit BreakOffWatch(const std::stop_token& token)
      : event_(token.stop_possible() ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1), on_request_(token, Raise{*this}) {}

  [[nodiscard]] int number() const { return event_.number(); }

 private:
  struct Raise {
    const BreakOffWatch& watch;
    void operator()() const noexcept {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = write(watch.number(), &one, sizeof one);
    }
  };
  Descriptor event_;
  std::stop_callback<Raise> on_request_;
};

// Feeds and drains the program until it ends. A process that it left behind may hold its streams open for ever, so the
// end of the program counts, not the end of the streams.
ProgramResult attend(pid_t child, const ProgramCall& call, Stream input, Stream output, Stream error_output) {
  // Without pidfd (old kernels, some sandboxes) the end is looked for every few milliseconds.
  const Descriptor exit_watch(static_cast<int>(syscall(SYS_pidfd_open, child, 0U)));
  const BreakOffWatch break_off(call.break_off);
  const Instant deadline = monotonic_now() + call.limit;
  Instant heard_at = monotonic_now();
  Instant tick_at = heard_at + kTick;
  ProgramResult result;
  int status = 0;
  bool killed = false;
  if (input.text.empty()) input.descriptor.reset();
  pid_t ended = 0;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
    if (call.each_second && !killed && monotonic_now() >= tick_at) {
      call.each_second();
      tick_at = monotonic_now() + kTick;
    }
    const Instant now = monotonic_now();
    const auto silence_left = call.silence_limit ? heard_at + call.silence_limit() - now : Duration::max();
    auto left = std::min<Duration>(deadline - now, silence_left);
    const bool unwanted = call.break_off.stop_requested();
    if (!killed) {
      result.broken_off = unwanted && (!call.may_be_broken_off || call.may_be_broken_off());
      result.timed_out = !result.broken_off && deadline <= now;
      result.fell_silent = !result.broken_off && !result.timed_out && left <= Duration::zero();
      killed = result.broken_off || result.timed_out || result.fell_silent;
      if (killed) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
      }
    }
    if (call.each_second) left = std::min<Duration>(left, tick_at - now);
    auto wait_milliseconds = killed ? 1000 : std::clamp<std::int64_t>(to_milliseconds(left) + 1, 1, 60'000);
    const bool look_often = !exit_watch.open() || (unwanted && !killed);
    const bool look_now_and_then = call.break_off.stop_possible() && break_off.number() < 0;
    if (look_often || look_now_and_then) {
      wait_milliseconds = std::min<std::int64_t>(wait_milliseconds, look_often ? 5 : 100);
    }
    std::array<pollfd, 5> watched = {{{exit_watch.number(), POLLIN, 0},
                                      {output.descriptor.number(), POLLIN, 0},
                                      {error_output.descriptor.number(), POLLIN, 0},
                                      {input.descriptor.number(), POLLOUT, 0},
                                      {unwanted ? -1 : break_off.number(), POLLIN, 0}}};
    poll(watched.data(), watched.size(), static_cast<int>(wait_milliseconds));
    if (watched[1].revents != 0 || watched[2].revents != 0) heard_at = monotonic_now();
    if (watched[1].revents != 0) read_stream(output, call.output_bytes_max, call.use_output);
    if (watched[2].revents != 0) {
      read_stream(error_output, call.output_bytes_max);
      offer_lines(error_output, call.take_error_line);
    }
    if (watched[3].revents != 0) write_stream(input);
  }
  const std::function<void(std::string_view)> keep;
  for (auto* stream : {&output, &error_output}) {
    pollfd ready{stream->descriptor.number(), POLLIN, 0};
    while (stream->descriptor.open() && poll(&ready, 1, 0) > 0) {
      read_stream(*stream, call.output_bytes_max, stream == &output ? call.use_output : keep);
    }
  }
  offer_lines(error_output, call.take_error_line);
  if (ended < 0) status = 255 << 8;  // somebody else took its status: no success
  result.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  result.output = std::move(output.text);
  result.error_output = std::move(error_output.text);
  return result;
}

std::string last_lines(std::string_view text, std::size_t bytes_max) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  if (text.size() > bytes_max) {
    text.remove_prefix(text.size() - bytes_max);
    const auto newline = text.find('\n');
    if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
  }
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "; ";
    } else {
      line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return line;
}

}  // namespace

Result<ProgramResult> run_program(const ProgramCall& call) {
  assert(!call.arguments.empty());
  const auto cannot = [&](const std::string& why) { return Error{"cannot run " + call.arguments[0] + ": " + why}; };

  if (call.break_off.stop_requested()) return cannot("the work was broken off");

  Launch launch;
  const auto user = find_os_user(call.os_user);
  if (!user) return cannot(user.error().message);
  if (user->uid != geteuid()) {
    if (geteuid() != 0) return cannot("only root can run it as \"" + call.os_user + "\"");
    launch.become = *user;
  }
  launch.path = find_in_path(call.arguments[0]);
  launch.environment = clean_environment(call, *user);
  launch.argument_pointers = pointers_to(call.arguments);
  launch.environment_pointers = pointers_to(launch.environment);
  launch.working_directory = call.working_directory.c_str();
  launch.file_mask = call.file_mask;
  launch.parent = getpid();

  auto input = make_pipe();
  auto output = make_pipe();
  auto error_output = make_pipe();
  auto report = make_pipe();
  for (const auto* made : {&input, &output, &error_output, &report}) {
    if (!*made) return cannot(made->error().message);
  }
  launch.input = input->read_end.number();
  launch.output = output->write_end.number();
  launch.error_output = error_output->write_end.number();
  launch.report = report->write_end.number();

  const pid_t child = fork();
  if (child < 0) return cannot(std::strerror(errno));
  if (child == 0) become_program(launch);
  setpgid(child, child);  // here too: whoever is first
  input->read_end.reset();
  output->write_end.reset();
  error_output->write_end.reset();
  report->write_end.reset();

  int code = 0;
  ssize_t count = 0;
  do {
    count = read(report->read_end.number(), &code, sizeof code);
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(sizeof code)) {
    waitpid(child, nullptr, 0);
    return cannot(std::strerror(code));
  }
  make_nonblocking(input->write_end);
  make_nonblocking(output->read_end);
  make_nonblocking(error_output->read_end);
  return attend(child, call, Stream{std::move(input->write_end), call.input}, Stream{std::move(output->read_end), {}},
                Stream{std::move(error_output->read_end), {}});
}

Result<std::string> run_checked(const ProgramCall& call) {
  auto ran = run_program(call);
  if (!ran) return ran.error();
  if (ran->broken_off) return Error{call.arguments[0] + " was broken off"};
  if (ran->timed_out) {
    return Error{call.arguments[0] + " was not done after " + format_duration(call.limit) +
                 " and was killed: " + last_lines(ran->error_output, 1000)};
  }
  if (ran->fell_silent) {
    return Error{call.arguments[0] + " fell silent for " + format_duration(call.silence_limit()) +
                 " and was killed: " + last_lines(ran->error_output, 1000)};
  }
  if (ran->exit_status != 0) {
    const auto& said = ran->error_output.empty() ? ran->output : ran->error_output;
    return Error{call.arguments[0] + " failed with status " + std::to_string(ran->exit_status) + ": " +
                 last_lines(said, 1000)};
  }
  return std::move(ran->output);
}

}  // namespace pgkeel
