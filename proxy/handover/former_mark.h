// By this a process that another one took over from can be found: a file in the state directory, locked for as long as
// it lives. Where the one that took over dies without a successor, its former processes end by themselves; one that
// cannot (stopped, hung) still has sessions, and would go on with them. A process that starts afresh ends it before it
// decides. Control thread only.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/descriptor.h"

namespace pgkeel {

class FormerMark {
 public:
  // Of this process.
  static Result<FormerMark> leave(const std::string& state_directory);
  ~FormerMark();  // takes it away
  FormerMark(FormerMark&& other) noexcept;
  FormerMark& operator=(FormerMark&&) = delete;

  // Waits a moment for those that are marked there to end by themselves, and kills the others: their numbers. Blocks.
  // An error: one is left.
  static Result<std::vector<pid_t>> end_all(const std::string& state_directory);

 private:
  FormerMark(std::string file, Descriptor lock) : file_(std::move(file)), lock_(std::move(lock)) {}

  std::string file_;
  Descriptor lock_;
};

}  // namespace pgkeel
