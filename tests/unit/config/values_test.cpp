#include "config/values.h"

#include <string>

#include <doctest/doctest.h>

#include "config/problem.h"

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("durations are whole numbers with a unit, and print the same way") {
  CHECK(parse_duration("250ms").value() == 250ms);
  CHECK(parse_duration("3s").value() == 3s);
  CHECK(parse_duration("10m").value() == 10min);
  CHECK(parse_duration("2h").value() == 2h);
  CHECK(parse_duration("0s").value() == 0s);
  for (const char* text : {"250ms", "3s", "10m", "2h", "0s", "61s", "90m", "1500ms"}) {
    CHECK(format_whole_duration(parse_duration(text).value()) == text);
  }
}

TEST_CASE("what is no duration is refused") {
  for (const char* text : {"", "s", "3", "3 s", " 3s", "3s ", "-3s", "+3s", "1.5s", "3S", "3w", "3us", "3ss", "0x3s",
                           "9223372036854775807s", "99999999999999999999s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}

TEST_CASE("an address is a host and a port") {
  CHECK(parse_host_port("10.0.0.1:5432").value() == HostPort{"10.0.0.1", 5432});
  CHECK(parse_host_port("[::1]:0").value() == HostPort{"::1", 0});
  CHECK(parse_host_port("[::]:65535").value() == HostPort{"::", 65535});
  CHECK(parse_host_port("db-1.example.com:1").value() == HostPort{"db-1.example.com", 1});
  for (const char* text :
       {"",         ":",        "h",     "h:",        ":1",     "h:65536",   "h:-1",  "h:+1", "h: 1",
        "h:1x",     "::1:5432", "[::1]", "[::1]5432", "[::1:5", "[::1]x:5",  "[h]:5", "[]:5", "10.0.0.256:1",
        "10.0.0:1", "a..b:1",   "-a:1",  "a-:1",      "a b:1",  "/run:5432", "h:1:2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_host_port(text).has_value());
  }
}

TEST_CASE("a host is a name, an address or the folder of a socket") {
  for (const char* text :
       {"db", "db.example.com", "10.0.0.1", "::1", "fe80::1", "/run/postgresql", "db.example.com.", "a_b", "1a"}) {
    CAPTURE(text);
    CHECK_FALSE(complain_of_host(text).has_value());
  }
  const std::string long_folder = "/" + std::string(200, 'x');
  const std::string long_name(300, 'x');
  for (const std::string& text : {std::string(), std::string("[::1]"), std::string("db:5432"), std::string("1.2.3"),
                                  std::string("ü"), std::string("::1\0", 4), long_folder, long_name}) {
    CAPTURE(text);
    CHECK(complain_of_host(text).has_value());
  }
}

TEST_CASE("a network is an address, a slash and a prefix length, with nothing past the prefix") {
  for (const char* text : {"0.0.0.0/0", "::/0", "10.0.0.0/8", "10.128.0.0/9", "10.0.0.1/32", "fd00::/8", "::1/128"}) {
    CAPTURE(text);
    CHECK_FALSE(complain_of_network(text).has_value());
  }
  for (const char* text : {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "x/8", "10.0.0.0/-1",
                           "10.0.0.0/8x", "10.0.0.0/256", "0.0.0.1/0"}) {
    CAPTURE(text);
    CHECK(complain_of_network(text).has_value());
  }
  CHECK(
      complain_of_network("10.1.2.3/8").value() ==
      R"("10.1.2.3/8" is an address inside a network; for the network write "10.0.0.0/8", for the address "10.1.2.3/32")");
  CHECK(complain_of_network("10.0.0.1").value() ==
        R"("10.0.0.1" has no prefix length; for this one address write "10.0.0.1/32")");
}

TEST_CASE("a node's name fits into a slot's name") {
  for (const std::string& text : {std::string("a"), std::string("a_1"), std::string(56, 'a')}) {
    CHECK_FALSE(complain_of_node_name(text).has_value());
  }
  for (const std::string& text :
       {std::string(), std::string("1a"), std::string("_a"), std::string("A"), std::string("a-b"), std::string("a.b"),
        std::string(57, 'a'), std::string("a\0", 2)}) {
    CHECK(complain_of_node_name(text).has_value());
  }
}

TEST_CASE("loopback and wildcard addresses are told from others") {
  for (const char* text : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) CHECK(is_loopback(text));
  for (const char* text : {"10.0.0.1", "::", "0.0.0.0", "::2", "db", "", "/run"}) CHECK_FALSE(is_loopback(text));
  for (const char* text : {"0.0.0.0", "::"}) CHECK(is_any_address(text));
  for (const char* text : {"127.0.0.1", "::1", "db", ""}) CHECK_FALSE(is_any_address(text));
}

TEST_CASE("text of a stranger is quoted so that a terminal shows it as it is") {
  CHECK(quoted("plain ü") == "\"plain ü\"");
  CHECK(quoted("a\"b\\") == R"("a\"b\\")");
  CHECK(quoted("\x1b[2J\n\x7f") == R"("\x1b[2J\x0a\x7f")");
  CHECK(quoted("\xff\xc3") == R"("\xff\xc3")");
  CHECK(quoted("\xc2\x9b") == R"("\xc2\x9b")");
  CHECK(quoted(std::string(1000, 'x')).size() < 100);
}

TEST_CASE("the nearest name is near") {
  CHECK(nearest_name("wrokers", {"workers", "login_rate"}) == "workers");
  CHECK(nearest_name("failure_timout", {"failure_timeout", "probe_timeout"}) == "failure_timeout");
  CHECK(nearest_name("x", {"workers"}).empty());
  CHECK(nearest_name("", {"workers"}).empty());
  CHECK(nearest_name(std::string(100'000, 'x'), {"workers"}).empty());
}
