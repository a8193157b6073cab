#include "proxy/io/descriptor_limit.h"

#include <sys/resource.h>

namespace pgkeel {
namespace {

rlim_t started_with = 0;  // 0: never raised

}  // namespace

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (started_with == 0) started_with = limit.rlim_cur;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

void restore_descriptor_limit() {
  rlimit limit{};
  if (started_with == 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = started_with;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace pgkeel
