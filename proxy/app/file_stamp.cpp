#include "proxy/app/file_stamp.h"

#include <sys/stat.h>

namespace pgkeel {

std::vector<FileStamp> file_stamps(std::initializer_list<std::string> paths) {
  std::vector<FileStamp> stamps;
  for (const auto& path : paths) {
    if (path.empty()) continue;
    struct stat file {};
    FileStamp& stamp = stamps.emplace_back();
    if (::stat(path.c_str(), &file) != 0) continue;
    stamp.inode = file.st_ino;
    stamp.modified_ns = std::int64_t{file.st_mtim.tv_sec} * 1'000'000'000 + file.st_mtim.tv_nsec;
    stamp.size = file.st_size;
  }
  return stamps;
}

}  // namespace pgkeel
