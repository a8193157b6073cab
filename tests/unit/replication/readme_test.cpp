#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "replication/decide/transitions.h"

namespace {

std::string readme() {
  std::ifstream file(PGKEEL_REPLICATION_README);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the diagram in replication/README.md is the one that the transition table draws") {
  const std::string text = readme();
  const std::string begin = "```mermaid\n";
  const auto from = text.find(begin);
  REQUIRE(from != std::string::npos);
  const auto to = text.find("```", from + begin.size());
  REQUIRE(to != std::string::npos);
  const std::string drawn = text.substr(from + begin.size(), to - from - begin.size());
  CHECK(drawn == pgkeel::draw_transitions());
}
