// What the controller does, as a scenario writes it. Tests only.
#pragma once

#include <string>

#include "replication/execute/cluster_controller.h"

namespace pgkeel::scenarios {

ActionKind kind_of(const std::string& word);

std::string text_of(const SyncQuorum& quorum);  // "1(b,c)"
std::string text_of(const ClusterMemory& memory);
std::string text_of(const Action& action);
std::string text_of(const RouteOrder& order);

}  // namespace pgkeel::scenarios
