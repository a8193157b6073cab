#include "proxy/cli/agent.h"

#include <cstdlib>
#include <iostream>

#include "config/parse.h"
#include "proxy/app/logging.h"
#include "proxy/cli/exit_status.h"
#include "replication/agent/agent_service.h"

namespace pgkeel {

int run_agent(const AgentOptions& options) {
  const auto file = load_agent_file(options.config_path);
  if (!file) {
    std::cerr << format_problems(file.error());
    return kExitRefused;
  }
  set_up_logging(file->log);
  auto agent = AgentService::create(file->agent, file->quarantine);
  if (!agent) {
    return fail(agent.error().message);
  }
  (*agent)->run();
  // A program of the job ends with the process; what it left half done is found by the next job.
  if ((*agent)->job_runs()) std::_Exit(kExitDone);
  return kExitDone;
}

}  // namespace pgkeel
