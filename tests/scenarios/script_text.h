// What the controller does, as a scenario writes it. Tests only.
#pragma once

#include <string>

#include "replication/execute/cluster_controller.h"
#include "tests/scenarios/script_arguments.h"

namespace pgkeel::scenarios {

ActionKind kind_of(const std::string& word);
OperatorOrder parse_order(const Arguments& arguments);  // "order failover b accept_loss"

std::string text_of(const SyncQuorum& quorum);  // "1(b,c)"
std::string text_of(const ClusterMemory& memory);
std::string text_of(const OperatorOrder& order);
std::string text_of(const Action& action);
std::string text_of(const RouteOrder& order);

}  // namespace pgkeel::scenarios
