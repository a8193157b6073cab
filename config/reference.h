// What the schema says of every key, for people: its type, default, limits, meaning, and when a changed value is in
// force. deploy/configuration.md and the manual page are made from it. Pure.
#pragma once

#include <string>
#include <vector>

namespace pgkeel {

struct ReferenceKey {
  std::string name;  // below its table: "tls.cert"
  std::string type;
  bool required = false;
  std::string fallback;  // its default, as the file writes it; empty: required
  std::string limits;    // empty: none but those of its type
  std::string in_force;  // after a reload; empty: it is not supported
  std::string meaning;
};

struct ReferenceTable {
  std::string header;  // "[proxy]", "[[cluster.NAME.node]]"
  std::string meaning;
  std::vector<ReferenceKey> keys;
};

std::vector<ReferenceTable> configuration_tables();        // of pgkeel.toml
std::vector<ReferenceTable> agent_configuration_tables();  // of agent.toml

std::string configuration_reference();

}  // namespace pgkeel
