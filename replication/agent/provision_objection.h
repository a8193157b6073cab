// What a host says against the order to fill its node's data directory, before anything is begun. Pure. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "replication/agent/node_host.h"

namespace pgkeel {

// Of a data directory that is not empty: "/var/lib/postgresql/15/main holds a server already; …".
std::string why_not_empty(const std::string& data_directory, bool holds_server);

// One line with what to do; empty: nothing speaks against it. `primary_version`: its server_version_num, 150014.
std::string objection_to_provision(const std::string& node, const NodeHostFacts& facts, std::uint32_t primary_version);

}  // namespace pgkeel
