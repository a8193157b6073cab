// The manual pages, made from the model of the command line and from the schema of the configuration, so that they
// never go stale: pgkeel(1), pgkeel.toml(5). Main thread.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace pgkeel {

// As troff text for man(7).
std::string manual_of_program(const CLI::App& app);
std::string manual_of_configuration();

}  // namespace pgkeel
