#include "proxy/wire/messages.h"

#include <doctest/doctest.h>

#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

TEST_CASE("the code of an authentication message is read, where there is one") {
  CHECK(authentication_code(as_bytes(authentication_ok())) == 0);
  CHECK(authentication_code(as_bytes(authentication(10, "SCRAM-SHA-256\0\0"sv))) == 10);
  CHECK_FALSE(authentication_code(as_bytes(message('R', "\0\0\0"sv))));
}

TEST_CASE("a parameter has a name and a value, both ended by a zero") {
  const std::string text = parameter_status("in_hot_standby", "on");
  const auto parameter = parse_parameter_status(as_bytes(text));
  REQUIRE(parameter);
  CHECK(parameter->name == "in_hot_standby");
  CHECK(parameter->value == "on");
  CHECK_FALSE(parse_parameter_status(as_bytes(message('S', "name"))));
  CHECK_FALSE(parse_parameter_status(as_bytes(message('S', "name\0value"sv))));
  CHECK_FALSE(parse_parameter_status(as_bytes(message('S', ""))));
}

TEST_CASE("a backend key has a secret of 4 to 256 bytes") {
  CHECK(parse_backend_key_data(as_bytes(backend_key_data(9, "abcd"))) == CancelKey{9, "abcd"});
  CHECK(parse_backend_key_data(as_bytes(backend_key_data(9, std::string(256, 'k')))) ==
        CancelKey{9, std::string(256, 'k')});
  CHECK_FALSE(parse_backend_key_data(as_bytes(backend_key_data(9, "abc"))));
  CHECK_FALSE(parse_backend_key_data(as_bytes(backend_key_data(9, std::string(257, 'k')))));
  CHECK_FALSE(parse_backend_key_data(as_bytes(message('K', ""))));
}
