// The command line (design 3.1): arguments in, exit status out.
#pragma once

namespace pgkeel {

int run_command_line(int argument_count, char** arguments);

}  // namespace pgkeel
