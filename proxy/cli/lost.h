// `pgkeel lost`: what diverged nodes, on this host or beside an agent, had committed that the cluster lost; and its
// rows, written out.
#pragma once

#include <string>

namespace pgkeel {

struct LostOptions {
  std::string config_path;
  std::string cluster;
  std::string report;         // or the begin of its name; empty: all are listed
  std::string export_folder;  // empty: nothing is written
  bool json = false;
};

int run_lost(const LostOptions& options);

}  // namespace pgkeel
