#include "proxy/app/progress_board.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("a line may end in a percentage") {
  CHECK(percent_of("copying a: 40 %") == 40);
  CHECK(percent_of("100 %") == 100);
  CHECK_FALSE(percent_of("copying a").has_value());
  CHECK_FALSE(percent_of("%").has_value());
  CHECK_FALSE(percent_of(" %").has_value());
  CHECK_FALSE(percent_of("a: 101 %").has_value());
  CHECK_FALSE(percent_of("a: 99999999999999999999 %").has_value());
}

TEST_CASE("of percentages one in each quarter is an event, the newest is what the status shows") {
  ProgressBoard board;
  CHECK(board.latest("b").empty());
  CHECK(board.take("b", "copying a"));
  std::string told;
  for (int percent = 0; percent <= 100; percent += 10) {
    const std::string line = "copying a: " + std::to_string(percent) + " %";
    if (board.take("b", line)) told += line + "\n";
    CHECK(board.latest("b") == line);
    CHECK(board.latest("c").empty());
  }
  CHECK(told == "copying a: 30 %\ncopying a: 50 %\ncopying a: 80 %\ncopying a: 100 %\n");
  CHECK(board.take("b", "starting it"));
  board.ended("b");
  CHECK(board.latest("b").empty());
  CHECK(board.take("b", "copying a: 70 %"));
}
