// What tells one version of a file from another without reading it. Reads no file, but asks the system.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace pgkeel {

struct FileStamp {
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;
  std::int64_t size = 0;  // all 0: it is not there
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// Of those that have a name.
std::vector<FileStamp> file_stamps(std::initializer_list<std::string> paths);

}  // namespace pgkeel
