// For test cases whose hosts are network namespaces: whether these can be made here. Says where they cannot.
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "tests/support/network.h"

namespace pgkeel::test {

inline bool namespaces_work() {
  static const std::string obstacle = Network::obstacle();
  if (!obstacle.empty()) MESSAGE("skipped: " << obstacle);
  return obstacle.empty();
}

}  // namespace pgkeel::test
