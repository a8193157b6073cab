// `pgkeel agent`.
#pragma once

#include <string>

namespace pgkeel {

struct AgentOptions {
  std::string config_path = "/etc/pgkeel/agent.toml";
};

int run_agent(const AgentOptions& options);

}  // namespace pgkeel
