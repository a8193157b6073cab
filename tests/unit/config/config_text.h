// Configuration texts that the tests of config/ start from.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

// Ends in the table of node "b", so that keys of a node, or a table of its own, can be appended.
inline constexpr std::string_view kMinimal = R"([cluster.orders]
listen = "0.0.0.0:6432"
monitor = { user = "pgkeel", database = "postgres" }
[[cluster.orders.node]]
name = "a"
host = "10.0.0.1"
[[cluster.orders.node]]
name = "b"
host = "/run/postgresql"
port = 5433
)";

// The same with `lines` in the table of the cluster.
inline std::string with_cluster_keys(std::string_view lines) {
  constexpr std::string_view kHeader = "[cluster.orders]\n";
  return std::string(kHeader) + std::string(lines) + "\n" + std::string(kMinimal.substr(kHeader.size()));
}

}  // namespace pgkeel
