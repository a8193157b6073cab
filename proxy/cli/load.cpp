#include "proxy/cli/load.h"

#include <iostream>

#include "config/parse.h"

namespace pgkeel {

std::optional<Config> load_or_tell(const std::string& path) {
  auto config = load_config(path);
  if (config) return std::move(*config);
  std::cerr << format_problems(config.error());
  return std::nullopt;
}

}  // namespace pgkeel
