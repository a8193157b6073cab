// What a planned or unplanned change of the primary may cost writers: the error of a session whose route went, and no
// other.
#pragma once

#include <cstddef>

#include <doctest/doctest.h>

#include "tests/support/writers.h"

namespace pgkeel::test {

// How many of them one session after the other of the same writer met, of the writer that met the most. Fails the test
// where a statement met any other.
inline std::size_t most_route_errors_of_one(const Writers& writers) {
  for (const auto& [sqlstate, times] : writers.statement_errors()) {
    CAPTURE(sqlstate);
    CHECK((sqlstate == "57P01" || sqlstate == "57P01 as a notice"));
    CHECK(times > 0);
  }
  return writers.most_statement_errors_of_one();
}

}  // namespace pgkeel::test
