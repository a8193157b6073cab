// File systems of a test's own, for this process and those that it starts from then on: they go with them. Where none
// may be mounted here, made() says so, and the test says that it was not run. One thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/mount.h>

#include "proxy/io/child_process.h"

namespace pgkeel::test {

inline bool mount_for_us_alone() {
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// In memory, and small.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& folder, const std::string& limits = "size=12m") : folder_(folder) {
    std::filesystem::create_directory(folder_);
    made_ = mount_for_us_alone() && mount("tmpfs", folder_.c_str(), "tmpfs", 0, (limits + ",mode=0777").c_str()) == 0;
  }
  ~SmallDisk() {
    if (made_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] const std::string& path() const { return folder_; }
  [[nodiscard]] bool enlarge() const {
    return mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, "size=600m,mode=0777") == 0;
  }

 private:
  std::string folder_;
  bool made_ = false;
};

// On which copies share their blocks.
class SharingDisk {
 public:
  SharingDisk(const std::string& folder, const std::string& image) : folder_(folder) {
    using namespace std::chrono_literals;
    std::filesystem::create_directory(folder_);
    std::ofstream(image) << "";
    std::filesystem::resize_file(image, std::uintmax_t{200} << 20);
    made_ = mount_for_us_alone() && run_checked({.arguments = {"mkfs.btrfs", "-q", image}, .limit = 60s}) &&
            run_checked({.arguments = {"mount", "-o", "loop", image, folder_}, .limit = 60s});
  }
  ~SharingDisk() {
    if (made_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SharingDisk(const SharingDisk&) = delete;
  SharingDisk& operator=(const SharingDisk&) = delete;

  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] const std::string& path() const { return folder_; }

 private:
  std::string folder_;
  bool made_ = false;
};

}  // namespace pgkeel::test
