// A folder of one isolated server's own: its socket, and the few files that it is configured with. It is in /tmp, for
// the path of a socket must be short. It is locked as long as it is used, and the lock ends with the process, however
// that ends: so a folder that somebody left who was killed is told from one that is used, and is removed. Blocking;
// each object on one thread.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/result.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {

class PrivateFolder {
 public:
  // `owner`: as whom the server runs.
  static Result<std::unique_ptr<PrivateFolder>> make(const FileOwner& owner);
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
  int lock_ = -1;
};

// Removes the folders of servers of `owner` that nobody uses any more. What is not ours, or not such a folder, is left
// alone.
void remove_left_private_folders(const FileOwner& owner);

}  // namespace pgkeel
