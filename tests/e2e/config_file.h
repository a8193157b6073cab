// The configuration file of a pgkeel that runs, for tests that change it; and what they ask after a reload.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"

namespace pgkeel::test {

class ConfigFile {
 public:
  explicit ConfigFile(const PgkeelProcess& pgkeel) : path_(pgkeel.config_file()) {
    std::ifstream file(path_);
    original_ = {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] const std::string& original() const { return original_; }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

  // The original with `lines` below the header; a header that is not there comes to the end.
  [[nodiscard]] std::string with(const std::string& header, const std::string& lines) const {
    std::string text = original_;
    const auto at = text.find(header + "\n");
    if (at == std::string::npos) return text + header + "\n" + lines + "\n";
    return text.insert(at + header.size() + 1, lines + "\n");
  }
  [[nodiscard]] std::string with_instead(const std::string& old, const std::string& young) const {
    std::string text = original_;
    const auto at = text.find(old);
    REQUIRE(at != std::string::npos);
    return text.replace(at, old.size(), young);
  }
  // Without the table of a node of the cluster "test".
  [[nodiscard]] std::string without_node(const std::string& name) const {
    std::string text = original_;
    const std::string header = "[[cluster.test.node]]\n";
    const auto begin = text.find(header + "name = \"" + name + "\"");
    REQUIRE(begin != std::string::npos);
    return text.erase(
        begin, text.find("\n[", begin) == std::string::npos ? std::string::npos : text.find("\n[", begin) + 1 - begin);
  }

 private:
  std::string path_;
  std::string original_;
};

inline std::string table_of(const PostgresServer& server) {
  return "[[cluster.test.node]]\nname = \"" + server.name() + "\"\nhost = \"" + server.address() +
         "\"\nport = " + std::to_string(server.port()) + "\n";
}

inline nlohmann::json reload(const PgkeelProcess& pgkeel, int exit_status = 0,
                             const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"reload", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const VerbResult verb = pgkeel.run_verb(arguments);
  INFO(verb.output);
  INFO(verb.error_output);
  REQUIRE(verb.exit_status == exit_status);
  return nlohmann::json::parse(verb.output);
}

inline bool has_event(const PgkeelProcess& pgkeel, const std::string& words) {
  for (const auto& event : pgkeel.events()) {
    if (event.value("text", "").find(words) != std::string::npos) return true;
  }
  return false;
}

inline double metric(const PgkeelProcess& pgkeel, const std::string& name) {
  const std::string text = pgkeel.metrics();
  const auto at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

inline const nlohmann::json* find_node(const nlohmann::json& status, const std::string& name) {
  for (const auto& node : status["nodes"]) {
    if (node["name"] == name) return &node;
  }
  return nullptr;
}

}  // namespace pgkeel::test
