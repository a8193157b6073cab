// Small files that survive a crash of the machine: what was written is there whole, or what was there before. Blocks on
// the disk. Any thread; two writers of one file need a lock of their own.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "proxy/base/result.h"

namespace pgkeel {

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder. Never follows a symbolic link at `path`.
Result<void> write_durably(const std::string& path, std::string_view content, mode_t mode = 0600,
                           std::optional<FileOwner> owner = std::nullopt);

// The same for a file that is not there yet; an error, and nothing is changed, where it is.
Result<void> write_new(const std::string& path, std::string_view content, mode_t mode = 0600);

// The whole file; an error where it is longer than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = std::size_t{64} << 20);

// Renames or removes, and fsyncs the folders. Removing what is not there is fine.
Result<void> rename_durably(const std::string& from, const std::string& to);
Result<void> remove_durably(const std::string& path);

Result<void> sync_folder(const std::string& path);

// Brings everything on the file system of `path` to the disk: after the copy of a whole tree.
Result<void> sync_file_system(const std::string& path);

}  // namespace pgkeel
