#include "proxy/routing/allow_list.h"

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

bool allowed(const std::vector<std::string>& networks, std::string_view client) {
  return AllowList::parse(networks).value().allows(parse_ip_address(client).value());
}

}  // namespace

TEST_CASE("the default allows everybody") {
  const std::vector<std::string> everybody{"0.0.0.0/0", "::/0"};
  CHECK(allowed(everybody, "203.0.113.9"));
  CHECK(allowed(everybody, "2001:db8::1"));
}

TEST_CASE("a network is its prefix, not a bit more") {
  CHECK(allowed({"10.1.0.0/16"}, "10.1.255.255"));
  CHECK_FALSE(allowed({"10.1.0.0/16"}, "10.2.0.0"));
  CHECK(allowed({"192.168.1.128/25"}, "192.168.1.128"));
  CHECK_FALSE(allowed({"192.168.1.128/25"}, "192.168.1.127"));
  CHECK(allowed({"2001:db8:8000::/33"}, "2001:db8:ffff::1"));
  CHECK_FALSE(allowed({"2001:db8:8000::/33"}, "2001:db8:7fff::1"));
  CHECK(allowed({"127.0.0.1"}, "127.0.0.1"));
  CHECK_FALSE(allowed({"127.0.0.1"}, "127.0.0.2"));
}

TEST_CASE("IPv4 and IPv6 are told apart, also on a dual-stack listener") {
  CHECK_FALSE(allowed({"0.0.0.0/0"}, "2001:db8::1"));
  CHECK(allowed({"0.0.0.0/0"}, "::ffff:10.0.0.1"));
  CHECK(allowed({"10.0.0.0/8"}, "::ffff:10.0.0.1"));
}

TEST_CASE("an empty list allows nobody") {
  CHECK_FALSE(allowed({}, "127.0.0.1"));
}

TEST_CASE("what is no network is an error that quotes it") {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/8x", "localhost", "10.0.0.0/-1"}) {
    CAPTURE(text);
    const auto list = AllowList::parse({"::/0", text});
    REQUIRE_FALSE(list);
    CHECK(list.error().message.find("\"" + std::string(text) + "\"") != std::string::npos);
  }
}
