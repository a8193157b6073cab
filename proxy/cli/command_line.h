// The command line (design 3.1): arguments in, exit status out.
#pragma once

#include <string>
#include <vector>

namespace pgkeel {

int run_command_line(int argument_count, char** arguments);

// Nothing is run. What is wrong with these words, the program's name left out; empty: a verb would run with them.
std::string problem_of_arguments(const std::vector<std::string>& words);

// What may stand in place of the last of these words (completion.h).
std::vector<std::string> completions_of(const std::vector<std::string>& words);

// Verbs that usage.cpp has no examples of.
std::vector<std::string> verbs_without_examples();

}  // namespace pgkeel
