#include "tests/drivers/driver_process.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kAnswerLimit = 120s;  // only there to end a broken test

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    read_end = ends[0];
    write_end = ends[1];
  }
  int read_end;
  int write_end;
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

bool readable(int descriptor, Duration limit) {
  pollfd watched{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, static_cast<int>(to_milliseconds(limit))) > 0;
}

}  // namespace

DriverProcess::DriverProcess(const std::string& program, const std::string& folder, const std::string& name,
                             const std::vector<std::string>& environment)
    : name_(name), error_file_(folder + "/" + name + ".stderr") {
  std::vector<std::string> arguments = {program};
  std::vector<std::string> variables = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "PGAPPNAME=" + name};
  if (const char* home = std::getenv("HOME")) variables.push_back(std::string("HOME=") + home);
  variables.insert(variables.end(), environment.begin(), environment.end());

  Pipe input;
  Pipe output;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.read_end, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, error_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t plain;  // the runner ignores SIGPIPE; a program must not inherit that
  sigemptyset(&plain);
  sigaddset(&plain, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &plain);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawn(&pid_, program.c_str(), &actions, &attributes, pointers_to(arguments).data(),
                                pointers_to(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(input.read_end);
  close(output.write_end);
  input_ = input.write_end;
  output_ = output.read_end;
  if (error != 0) throw std::system_error(error, std::generic_category(), program);
}

DriverProcess::DriverProcess(DriverProcess&& other) noexcept
    : name_(std::move(other.name_)),
      error_file_(std::move(other.error_file_)),
      pid_(std::exchange(other.pid_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      received_(std::move(other.received_)),
      last_command_(std::move(other.last_command_)) {}

DriverProcess::~DriverProcess() {
  if (input_ >= 0) close(input_);
  if (output_ >= 0) close(output_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void DriverProcess::fail(const std::string& what) const {
  std::ifstream errors(error_file_);
  throw std::runtime_error(name_ + ", told \"" + last_command_ + "\": " + what + "\n" +
                           std::string(std::istreambuf_iterator<char>(errors), {}));
}

void DriverProcess::tell(const std::string& command) {
  last_command_ = command;
  const std::string line = command + "\n";  // shorter than PIPE_BUF: written whole
  if (write(input_, line.data(), line.size()) < 0) fail("it has ended");
}

bool DriverProcess::has_answered() const {
  return received_.find('\n') != std::string::npos || readable(output_, 0ms);
}

nlohmann::json DriverProcess::answer() {
  std::size_t end = 0;
  while ((end = received_.find('\n')) == std::string::npos) {
    if (!readable(output_, kAnswerLimit)) fail("no answer");
    std::array<char, 4096> buffer{};
    const ssize_t count = read(output_, buffer.data(), buffer.size());
    if (count <= 0) fail("it has ended");
    received_.append(buffer.data(), static_cast<std::size_t>(count));
  }
  const std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  auto parsed = nlohmann::json::parse(line, nullptr, false);
  if (!parsed.is_object()) fail("not an answer: " + line);
  return parsed;
}

nlohmann::json DriverProcess::ask(const std::string& command) {
  tell(command);
  return answer();
}

}  // namespace pgkeel::test
