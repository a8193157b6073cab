// Whether a folder is where a file system is mounted. Any thread.
#pragma once

#include <string>

namespace pgkeel {

// False also where that cannot be told.
bool is_mount_point(const std::string& path);

}  // namespace pgkeel
