// How the configuration that runs came about, as status and metrics show it. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/admin/cluster_status.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct ConfigurationStatus {
  std::string file;
  std::uint64_t reloads_succeeded = 0;  // since this process started
  std::uint64_t reloads_refused = 0;
  WallTime read_at{};  // when what runs was read: by the last reload that succeeded, or at the start
  // The last reload was refused, for these reasons: the file on disk is not what runs.
  std::vector<std::string> problems;
  std::vector<std::string> waiting;  // what waits for a restart, one change each
  // That the admin endpoint shows; that pgkeel shows to etcd and to other pgkeels, and the authorities that it believes
  // there.
  std::vector<CertificateStatus> certificates;
};

}  // namespace pgkeel
