// The manual pages say something of everything.
#include "proxy/cli/manual.h"

#include <doctest/doctest.h>

#include "config/reference.h"

using namespace pgkeel;

TEST_CASE("the page of the configuration has an entry for every key of every table") {
  const std::string page = manual_of_configuration();
  auto tables = configuration_tables();
  for (auto& table : agent_configuration_tables()) tables.push_back(std::move(table));
  CHECK(tables.size() > 8);
  std::size_t from = 0;
  for (const auto& table : tables) {
    CAPTURE(table.header);
    from = page.find("\n.SS " + table.header + "\n", from);
    REQUIRE(from != std::string::npos);
    for (const auto& key : table.keys) {
      CAPTURE(key.name);
      const auto at = page.find("\n.TP\n\\fB" + key.name + "\\fR = ", from);
      CHECK(at != std::string::npos);
      CHECK_FALSE((key.meaning + key.limits).empty());
    }
  }
  CHECK(page.substr(0, page.find("\n.SH EXAMPLE")).find('`') == std::string::npos);
  CHECK(page.find("Default: \"10s\". Limits: \"0s\" to \"1h\". In force after a reload: new connections.") !=
        std::string::npos);
}
