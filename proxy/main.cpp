#include "proxy/cli/command_line.h"

int main(int argument_count, char** arguments) {
  return pgkeel::run_command_line(argument_count, arguments);
}
