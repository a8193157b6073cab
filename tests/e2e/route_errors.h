// What a planned or unplanned change of the primary may cost writers: the error of a session whose route went, and no
// other.
#pragma once

#include <cstddef>

#include <doctest/doctest.h>

#include "tests/support/writers.h"

namespace pgkeel::test {

// How many there were. Fails the test where a statement met any other.
inline std::size_t count_route_errors(const Writers& writers) {
  std::size_t errors = 0;
  for (const auto& [sqlstate, times] : writers.statement_errors()) {
    CAPTURE(sqlstate);
    CHECK((sqlstate == "57P01" || sqlstate == "57P01 as a notice"));
    errors += times;
  }
  return errors;
}

}  // namespace pgkeel::test
