#include "proxy/wire/startup.h"

#include <doctest/doctest.h>

#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

TEST_CASE("the size of a startup packet has PostgreSQL's limits") {
  CHECK(startup_packet_size(as_bytes(int32_bytes(8))).value() == 8);
  CHECK(startup_packet_size(as_bytes(int32_bytes(10000))).value() == 10000);
  CHECK_FALSE(startup_packet_size(as_bytes(int32_bytes(10001))));
  CHECK_FALSE(startup_packet_size(as_bytes(int32_bytes(7))));
  CHECK_FALSE(startup_packet_size(as_bytes(int32_bytes(0))));
  CHECK_FALSE(startup_packet_size(as_bytes(int32_bytes(0xffffffff))));
}

TEST_CASE("TLS without asking and HTTP are no startup packets") {
  CHECK_FALSE(startup_packet_size(as_bytes("\x16\x03\x01\x02"sv)));
  CHECK_FALSE(startup_packet_size(as_bytes("GET "sv)));
  CHECK_FALSE(startup_packet_size(as_bytes("SSH-"sv)));
}

TEST_CASE("protocol 3.0, 3.2 and later minors are taken as they are, others are not supported") {
  for (const std::uint16_t minor : {std::uint16_t{0}, std::uint16_t{2}, std::uint16_t{9999}}) {
    const auto packet = parse_startup(as_bytes(startup_message(minor)));
    REQUIRE(packet);
    CHECK(std::get<StartupMessage>(*packet).minor_version == minor);
  }
  const auto old = parse_startup(as_bytes(untyped(int16_bytes(2) + int16_bytes(0))));
  REQUIRE(old);
  CHECK(std::get<UnsupportedProtocol>(*old).major_version == 2);
}

TEST_CASE("encryption requests have no body") {
  CHECK(std::holds_alternative<SslRequest>(parse_startup(as_bytes(ssl_request())).value()));
  CHECK(std::holds_alternative<GssEncryptionRequest>(parse_startup(as_bytes(gss_encryption_request())).value()));
  CHECK_FALSE(parse_startup(as_bytes(untyped(int32_bytes(80877103) + "x"))));
}

TEST_CASE("cancel keys have 4 to 256 bytes") {
  for (const std::size_t size : {4U, 5U, 32U, 256U}) {
    const std::string secret(size, 's');
    const auto packet = parse_startup(as_bytes(cancel_request(77, secret)));
    REQUIRE(packet);
    CHECK(std::get<CancelRequest>(*packet).key == CancelKey{77, secret});
  }
  CHECK_FALSE(parse_startup(as_bytes(cancel_request(77, "abc"))));
  CHECK_FALSE(parse_startup(as_bytes(cancel_request(77, std::string(257, 's')))));
}

TEST_CASE("a cancel request that we make is read as one, with keys of any length") {
  for (const std::size_t size : {4U, 32U, 256U}) {
    const CancelKey key{4'000'000'000U, std::string(size, '\0')};
    const std::string packet = build_cancel_request(key);
    const auto parsed = parse_startup(as_bytes(packet));
    REQUIRE(parsed);
    REQUIRE(std::holds_alternative<CancelRequest>(*parsed));
    CHECK(std::get<CancelRequest>(*parsed).key == key);
    CHECK(startup_packet_size(as_bytes(packet).first(4)).value() == packet.size());
  }
}
