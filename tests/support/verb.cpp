#include "tests/support/verb.h"

#include <stdexcept>

#include "proxy/io/child_process.h"

namespace pgkeel::test {

VerbResult run_pgkeel(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                      Duration limit) {
  ProgramCall call;
  call.arguments = {PGKEEL_BINARY};
  call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
  call.environment = environment;
  call.limit = limit;
  const auto result = run_program(call);
  if (!result) throw std::runtime_error(result.error().message);
  return {result->exit_status, result->output, result->error_output};
}

}  // namespace pgkeel::test
