#include "replication/agent/export_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace pgkeel {

namespace files = std::filesystem;

ExportFile::ExportFile(std::string path) : path_(std::move(path)) {
  std::error_code ignored;  // the stream fails then
  files::create_directories(files::path(path_).parent_path(), ignored);
  stream_.open(path_, std::ios::binary | std::ios::trunc);
  files::permissions(path_, files::perms::owner_read | files::perms::owner_write, ignored);
}

Result<void> ExportFile::close() {
  stream_.close();
  if (!stream_) return Error{"cannot write " + path_ + ": " + std::strerror(errno)};
  return {};
}

}  // namespace pgkeel
