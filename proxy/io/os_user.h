// A user of the operating system, looked up in full, so that a process can become it without looking anything up. Any
// thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"

namespace pgkeel {

struct OsUser {
  std::string name;
  std::string home;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // gid among them
};

// `name` empty: the user that we run as.
Result<OsUser> find_os_user(const std::string& name);

}  // namespace pgkeel
