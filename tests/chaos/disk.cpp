#include "tests/chaos/disk.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <sys/mount.h>
#include <unistd.h>
#include <utility>

#include "proxy/io/child_process.h"
#include "proxy/io/os_user.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;

Result<std::string> run(std::vector<std::string> arguments) {
  return run_checked({.arguments = std::move(arguments), .limit = 60s});
}

void require(const Result<std::string>& output) {
  if (!output) throw std::runtime_error(output.error().message);
}

std::string filler(const std::string& path) {
  return path + "/filler";
}

}  // namespace

std::string enter_own_mount_namespace() {
  if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return {};
  return std::string("a mount namespace cannot be made: ") + std::strerror(errno);
}

std::string Disk::obstacle(const std::string& folder) {
  try {
    Disk disk(folder, "trial", 8);
    disk.freeze();
    disk.thaw();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

Disk::Disk(const std::string& folder, const std::string& name, std::uint64_t megabytes)
    : image_(folder + "/" + name + ".image"), path_(folder + "/" + name) {
  std::ofstream(image_).flush();
  std::filesystem::resize_file(image_, megabytes << 20);
  std::filesystem::create_directory(path_);
  require(run({"mkfs.ext4", "-q", "-m", "0", image_}));
  require(run({"mount", "-o", "loop,noatime", image_, path_}));
  std::filesystem::remove(path_ + "/lost+found");
  const auto user = find_os_user(test::server_user());
  if (!user || chown(path_.c_str(), user->uid, user->gid) != 0) throw std::runtime_error("chown " + path_);
}

Disk::~Disk() {
  if (frozen_) [[maybe_unused]]
    const auto thawed = run({"fsfreeze", "--unfreeze", path_});
  [[maybe_unused]] const auto unmounted = run({"umount", path_});
}

void Disk::fill() {
  const int descriptor = open(filler(path_).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) throw std::runtime_error(filler(path_) + ": " + std::strerror(errno));
  off_t size = 0;
  for (off_t step = 16 << 20; step >= 4096; step /= 2) {
    while (posix_fallocate(descriptor, size, step) == 0) size += step;
  }
  close(descriptor);
}

void Disk::free() {
  std::filesystem::remove(filler(path_));
}

void Disk::freeze() {
  require(run({"fsfreeze", "--freeze", path_}));
  frozen_ = true;
}

void Disk::thaw() {
  if (std::exchange(frozen_, false)) require(run({"fsfreeze", "--unfreeze", path_}));
}

}  // namespace pgkeel::chaos
