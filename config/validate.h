// The rules between the keys of a configuration: what no single row of the schema can see. Pure; any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace pgkeel {

// Where each key and table stands in the file, by its path ("cluster.orders.node[0].host").
class KeyPositions {
 public:
  void add(std::string path, Position position);

  // Of the key; where it was left out, of the table that it would stand in.
  [[nodiscard]] Position find(std::string_view path) const;

 private:
  std::map<std::string, Position, std::less<>> positions_;
};

// Keys that are empty (because reading them failed) break no rule here: their problem is known already.
std::vector<Problem> validate(const Config& config, const KeyPositions& positions, const std::string& file);

}  // namespace pgkeel
