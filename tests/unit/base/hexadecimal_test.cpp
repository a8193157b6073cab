#include "proxy/base/hexadecimal.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("every byte comes back") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(from_hexadecimal(to_hexadecimal(all)) == all);
  CHECK(to_hexadecimal(std::string_view("\x00\x7f\xff", 3)) == "007fff");
  CHECK(from_hexadecimal("") == "");
}

TEST_CASE("what is no pair of digits is nothing") {
  for (const char* text : {"0", "0g", "0G", "0A", " 0", "0x"}) CHECK_FALSE(from_hexadecimal(text).has_value());
}
