// `pgkeel restart`: the running pgkeel starts its program anew and hands over to it.
#pragma once

#include <string>

namespace pgkeel {

struct RestartOptions {
  std::string config_path;
};

int run_restart(const RestartOptions& options);

}  // namespace pgkeel
