#include "proxy/cli/serve.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

#include "config/find.h"
#include "config/parse.h"
#include "proxy/app/application.h"
#include "proxy/app/logging.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/io/detached_process.h"

namespace pgkeel {
namespace {

Result<std::map<std::string, std::string>> parse_adoptions(const std::vector<std::string>& wishes,
                                                           const Config& config) {
  std::map<std::string, std::string> adoptions;
  for (const auto& wish : wishes) {
    const auto dot = wish.find('.');
    if (dot == std::string::npos && config.clusters.size() != 1) {
      return Error{"--adopt " + wish + ": there are several clusters; say CLUSTER.NODE"};
    }
    const std::string cluster = dot == std::string::npos ? config.clusters.front().name : wish.substr(0, dot);
    const std::string node = dot == std::string::npos ? wish : wish.substr(dot + 1);
    if (const auto wrong = complain_of_cluster(config, cluster)) return Error{"--adopt " + wish + ": " + *wrong};
    if (const auto wrong = complain_of_node(*find_cluster_config(config, cluster), node))
      return Error{"--adopt " + wish + ": " + *wrong};
    adoptions[cluster] = node;
  }
  return adoptions;
}

}  // namespace

int run_serve(const ServeOptions& options) {
  hold_off_signals();
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  const auto adoptions = parse_adoptions(options.adopt, *config);
  if (!adoptions) {
    return fail(adoptions.error().message, kExitUsage);
  }
  set_up_logging(config->log);
  auto application = Application::create(
      *config, {.config_path = options.config_path, .adopt = *adoptions, .take_over = options.take_over});
  if (!application) {
    return fail(application.error().message);
  }
  (*application)->run();
  // A program of a job thread ends with the process; its half-done work is found and mended at the next start.
  if ((*application)->jobs_run()) std::_Exit(kExitDone);
  return kExitDone;
}

}  // namespace pgkeel
