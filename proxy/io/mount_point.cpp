#include "proxy/io/mount_point.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace pgkeel {

bool is_mount_point(const std::string& path) {
  struct statx status {};
  const bool known = statx(AT_FDCWD, path.c_str(), 0, 0, &status) == 0;
  return known && (status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace pgkeel
