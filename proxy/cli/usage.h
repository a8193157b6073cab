// What the verbs of the command line have in common: how their values are called, examples in --help, and one line
// that says what is wrong with a command line and what to do. Main thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace pgkeel {

// Names the values of all options, and puts the examples below each verb's help.
void complete_model(CLI::App& app);

// One a line; empty: there are none.
std::string_view verb_examples(std::string_view verb);
constexpr std::string_view kExamplesTitle = "Examples:\n";

std::vector<std::string> verbs_without_examples(const CLI::App& app);

// "pgkeel VERB: what is wrong; what to do". `words`: the command line without the program's name.
std::string usage_problem(const CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& problem);

}  // namespace pgkeel
