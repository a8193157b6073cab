// A folder for one test. It goes, with every process that works in it, when the object is destroyed; and also when the
// test process is killed: a small guard process outlives us and cleans up.
#pragma once

#include <string>
#include <sys/types.h>

namespace pgkeel::test {

// The user that servers run as: ours, or `postgres` where we are root, which PostgreSQL refuses.
const std::string& server_user();

class TemporaryFolder {
 public:
  TemporaryFolder();  // owned by server_user()
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  int guard_input_ = -1;  // its end of file tells the guard to clean up
  pid_t guard_ = -1;
};

}  // namespace pgkeel::test
