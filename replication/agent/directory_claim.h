// The claim of one pgkeel on a data directory: a lock beside it (`<data_directory>.pgkeel-lock`), so that two pgkeels
// that were given the same servers do not start, fence and rebuild them against each other. Kept as long as the object
// lives; it ends with the process, however that ends. Any thread.
#pragma once

#include <mutex>
#include <string>

#include "proxy/base/result.h"

namespace pgkeel {

class DirectoryClaim {
 public:
  explicit DirectoryClaim(const std::string& data_directory);
  ~DirectoryClaim();
  DirectoryClaim(const DirectoryClaim&) = delete;
  DirectoryClaim& operator=(const DirectoryClaim&) = delete;

  struct Refusal {
    std::string message;
    bool is_taken = false;  // another process has it; else it cannot be locked at all: a full or read-only disk, …
  };

  // Takes the lock where it is not held yet; cheap where it is. Where the folder is absent that it would be in, there
  // is nothing to claim, and that is no error.
  Result<void, Refusal> take();

 private:
  const std::string path_;
  std::mutex mutex_;  // guards descriptor_
  int descriptor_ = -1;
};

}  // namespace pgkeel
