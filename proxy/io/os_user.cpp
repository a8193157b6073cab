#include "proxy/io/os_user.h"

#include <cerrno>
#include <cstring>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace pgkeel {

Result<OsUser> find_os_user(const std::string& name) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  const auto look_up = [&] {
    return name.empty() ? getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found)
                        : getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  };
  int code = look_up();
  while (code == ERANGE && buffer.size() < (1U << 20)) {
    buffer.resize(buffer.size() * 2);
    code = look_up();
  }
  if (found == nullptr) {
    // A container may run us as a number without a name.
    if (name.empty()) return OsUser{std::to_string(geteuid()), "/", geteuid(), getegid(), {getegid()}};
    return Error{"there is no operating system user \"" + name + "\"" +
                 (code == 0 ? std::string() : std::string(": ") + std::strerror(code))};
  }
  OsUser user{entry.pw_name, entry.pw_dir, entry.pw_uid, entry.pw_gid, std::vector<gid_t>(64)};
  int count = static_cast<int>(user.groups.size());
  if (getgrouplist(entry.pw_name, entry.pw_gid, user.groups.data(), &count) < 0) {
    user.groups.resize(static_cast<std::size_t>(count));
    getgrouplist(entry.pw_name, entry.pw_gid, user.groups.data(), &count);
  }
  user.groups.resize(static_cast<std::size_t>(count));
  return user;
}

}  // namespace pgkeel
