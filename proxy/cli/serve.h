// `pgkeel serve`.
#pragma once

#include <string>
#include <vector>

namespace pgkeel {

struct ServeOptions {
  std::string config_path;
  std::vector<std::string> adopt;  // NODE where there is one cluster, else CLUSTER.NODE
  bool take_over = false;          // from a pgkeel that runs
};

int run_serve(const ServeOptions& options);

}  // namespace pgkeel
