// A file whose execution hangs in the kernel, as on a disk that does not answer: a lease on it is not given back. For
// tests; one at a time, as the signal for such leases is ignored meanwhile.
#pragma once

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "proxy/io/descriptor.h"

namespace pgkeel::test {

class SlowProgram {
 public:
  SlowProgram(std::string path, std::string_view content) : path_(std::move(path)) {
    std::ofstream(path_) << content;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
    before_ = std::signal(SIGIO, SIG_IGN);
    file_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::fcntl(file_.number(), F_SETLEASE, F_WRLCK) == 0);
  }
  ~SlowProgram() {
    let_go();
    std::signal(SIGIO, before_);
  }
  SlowProgram(const SlowProgram&) = delete;
  SlowProgram& operator=(const SlowProgram&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void let_go() {
    if (file_.is_open()) ::fcntl(file_.number(), F_SETLEASE, F_UNLCK);
    file_.close();
  }

 private:
  std::string path_;
  Descriptor file_;
  void (*before_)(int) = SIG_DFL;
};

}  // namespace pgkeel::test
