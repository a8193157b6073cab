// A small file system of its own, which can be full or stand still. Needs root. Failures throw. One thread.
#pragma once

#include <cstdint>
#include <string>

namespace pgkeel::chaos {

// From now on this process has mounts of its own, which nobody else sees, and which are gone with its last child. To be
// called before there are other threads. Returns why it cannot; empty: done.
std::string enter_own_mount_namespace();

class Disk {
 public:
  // Why there can be none in this folder; empty: there can. In a mount namespace of our own.
  static std::string obstacle(const std::string& folder);

  // Mounted at `folder`/`name`, and owned by the user of the test's servers.
  Disk(const std::string& folder, const std::string& name, std::uint64_t megabytes);
  ~Disk();  // nobody works there any more
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

  void fill();    // to the last byte
  void free();    // what fill() took
  void freeze();  // what is written waits
  void thaw();

 private:
  std::string image_;
  std::string path_;
  bool frozen_ = false;
};

}  // namespace pgkeel::chaos
