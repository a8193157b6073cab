// One program under tests/drivers/<driver>: an application with one session, told what to do over its standard input
// (README.md). It works in the test's folder, so that it goes with that, and ends when its input does. Failures throw.
// One thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/base/time.h"

namespace pgkeel::test {

class DriverProcess {
 public:
  // `environment`: NAME=value, on top of PATH and HOME.
  DriverProcess(const std::string& program, const std::string& folder, const std::string& name,
                const std::vector<std::string>& environment);
  ~DriverProcess();  // SIGKILL
  DriverProcess(DriverProcess&& other) noexcept;
  DriverProcess& operator=(DriverProcess&&) = delete;

  void tell(const std::string& command);
  [[nodiscard]] nlohmann::json answer();  // to the oldest command that has none yet
  [[nodiscard]] nlohmann::json ask(const std::string& command);
  [[nodiscard]] bool has_answered() const;

  // The application_name of its session.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string name_;
  std::string error_file_;
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string received_;
  std::string last_command_;
};

}  // namespace pgkeel::test
