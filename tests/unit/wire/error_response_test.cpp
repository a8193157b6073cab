#include "proxy/wire/error_response.h"

#include <doctest/doctest.h>

#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

TEST_CASE("an error of the proxy is one whole message with the fields that drivers read") {
  const auto heard = split_messages(build_error_response(
      {.sqlstate = SqlState::kAdminShutdown, .message = "the message", .detail = "the detail", .hint = "the hint"}));
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].type == 'E');
  CHECK(heard[0].field('S') == "FATAL");
  CHECK(heard[0].field('V') == "FATAL");
  CHECK(heard[0].field('C') == "57P01");
  CHECK(heard[0].field('M') == "the message");
  CHECK(heard[0].field('D') == "the detail");
  CHECK(heard[0].field('H') == "the hint");
}

TEST_CASE("a zero inside a text can't end its field") {
  const auto heard = split_messages(build_error_response(
      {.sqlstate = SqlState::kCannotConnect, .message = std::string("a\0Hb", 4), .detail = {}, .hint = {}}));
  CHECK(heard[0].field('M') == "a?Hb");
  CHECK(heard[0].field('H').empty());
  CHECK(heard[0].field('D').empty());
}

TEST_CASE("fields of a server's error are read, as far as they are there") {
  const std::string whole = report('E', "FATAL", "57P03", "the database system is starting up");
  CHECK(parse_error_fields(as_bytes(whole)).sqlstate == "57P03");
  CHECK(parse_error_fields(as_bytes(whole)).message == "the database system is starting up");
  CHECK(parse_error_fields(as_bytes(whole)).ends_session());
  CHECK_FALSE(parse_error_fields(as_bytes(report('E', "ERROR", "42601", "syntax error"))).ends_session());
  for (std::size_t size = 0; size <= whole.size(); ++size) parse_error_fields(as_bytes(whole.substr(0, size)));
  CHECK(parse_error_fields(as_bytes(whole.substr(0, 30))).severity == "FATAL");
}

TEST_CASE("before version 9.6 there is only the localized severity") {
  const std::string old = message('E', "SFATAL\0C57P01\0Mgone\0\0"sv);
  CHECK(parse_error_fields(as_bytes(old)).ends_session());
}

TEST_CASE("57P02 becomes 57P01 in place, and nothing else changes") {
  std::string crash = report('N', "WARNING", "57P02", "57P02 in a text stays");
  const std::string shutdown = report('N', "WARNING", "57P01", "57P02 in a text stays");
  announce_crash_as_shutdown(std::as_writable_bytes(std::span(crash)));
  CHECK(crash == shutdown);
  std::string other = report('E', "ERROR", "57014", "canceling statement due to user request");
  const std::string unchanged = other;
  announce_crash_as_shutdown(std::as_writable_bytes(std::span(other)));
  CHECK(other == unchanged);
}
