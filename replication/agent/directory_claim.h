// The claim of one pgkeel on a data directory: a lock beside it (`<data_directory>.pgkeel-lock`), so that two pgkeels
// that were given the same servers do not start, fence and rebuild them against each other. Where no lock can be made
// there (the folder is not ours to write to, its disk is full or read-only), the data directory itself is locked: that
// does for all but a rebuild, which writes beside it anyway. Kept as long as the object lives; it ends with the
// process, however that ends. Any thread.
#pragma once

#include <mutex>
#include <string>

#include "proxy/base/result.h"
#include "proxy/io/descriptor.h"

namespace pgkeel {

class DirectoryClaim {
 public:
  explicit DirectoryClaim(const std::string& data_directory);

  struct Refusal {
    std::string message;
    bool is_taken = false;  // another process has it; else it cannot be locked at all: somebody else's lock file, …
  };

  // Takes the lock where it is not held yet; cheap where it is. Where the folder is absent that it would be in, there
  // is nothing to claim, and that is no error.
  Result<void, Refusal> take();

 private:
  Result<void, Refusal> take_itself(int problem_beside);
  [[nodiscard]] Refusal refusal(int problem) const;
  [[nodiscard]] static Refusal taken(const std::string& path);

  const std::string data_directory_;
  const std::string path_;
  std::mutex mutex_;   // guards what follows
  Descriptor beside_;  // of path_
  Descriptor itself_;  // of the data directory
};

}  // namespace pgkeel
