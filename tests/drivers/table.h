// What a Trial saw, judged against what is expected, and as Markdown for README.md. Pure.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "tests/drivers/trial.h"

namespace pgkeel::test {

// One line for each cell that is not as expected.
std::vector<std::string> unexpected_in(const std::deque<Applications>& applications);

// The table, and how many connects there were in the switchover.
std::string markdown_of(const std::deque<Applications>& applications);

}  // namespace pgkeel::test
