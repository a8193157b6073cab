#include "proxy/wire/application_name.h"

#include <string>

#include <doctest/doctest.h>

#include "proxy/wire/startup.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

std::string packet_with(const Parameters& parameters) {
  std::string body = int16_bytes(3) + int16_bytes(2) + zero_terminated("user") + zero_terminated("alice");
  for (const auto& [name, value] : parameters) body += zero_terminated(name) + zero_terminated(value);
  return untyped(body + '\0');
}

std::string name_seen(const Parameters& parameters, std::string_view address = "10.0.0.7") {
  const std::string packet = with_client_address(packet_with(parameters), address);
  CHECK(*startup_packet_size(as_bytes(packet).first(4)) == packet.size());
  CHECK(std::get<StartupMessage>(*parse_startup(as_bytes(packet))).minor_version == 2);
  CHECK(startup_parameter(as_bytes(packet), "user") == "alice");
  return startup_parameter(as_bytes(packet), "application_name");
}

}  // namespace

TEST_CASE("the address stands behind the name, or alone") {
  CHECK(name_seen({{"application_name", "psql"}, {"database", "d"}}) == "psql - 10.0.0.7");
  CHECK(name_seen({{"database", "d"}}) == "10.0.0.7");
  CHECK(name_seen({{"application_name", ""}}) == "10.0.0.7");
}

TEST_CASE("where it stands there already it stays, however often that is looked at") {
  CHECK(name_seen({{"application_name", "psql - 10.0.0.7"}}) == "psql - 10.0.0.7");
  CHECK(name_seen({{"application_name", "10.0.0.7"}}) == "10.0.0.7");
  CHECK(name_seen({{"application_name", std::string(100, 'n') + " - 10.0.0.7"}}) ==
        std::string(52, 'n') + " - 10.0.0.7");
  CHECK(name_seen({{"application_name", "psql - 10.0.0.8"}}) == "psql - 10.0.0.8 - 10.0.0.7");
}

TEST_CASE("other parameters stay as they are") {
  const std::string packet =
      with_client_address(packet_with({{"application_name", "x"}, {"database", "d"}, {"options", "-c a=b"}}), "::1");
  CHECK(packet == packet_with({{"database", "d"}, {"options", "-c a=b"}, {"application_name", "x - ::1"}}));
}

TEST_CASE("the name is cut so that the address fits, and not inside of a character") {
  const std::string cut = name_seen({{"application_name", std::string(100, 'n')}});
  CHECK(cut == std::string(52, 'n') + " - 10.0.0.7");
  CHECK(cut.size() == kApplicationNameBytesMax);
  std::string umlauts = "n";
  for (int count = 0; count < 50; ++count) umlauts += "\xC3\xBC";
  const std::string whole = name_seen({{"application_name", umlauts}});
  CHECK(whole == umlauts.substr(0, 51) + " - 10.0.0.7");
  const std::string longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
  CHECK(name_seen({{"application_name", std::string(63, 'n')}}, longest).ends_with(" - " + longest));
}

TEST_CASE("a packet is left alone where its name must not change, or what it says is not clear") {
  const std::string unchanged[] = {
      packet_with({{"replication", "true"}, {"application_name", "b"}}),
      packet_with({{"replication", "database"}}),
      packet_with({{"options", "-c application_name=x"}}),
      packet_with({{"padding", std::string(kStartupPacketBytesMax - 50, 'p')}}),
      packet_with({{"database", "d"}}) + "behind",
      packet_with({{"database", "d"}}).substr(0, 20),
      std::string("\0\0\0\x08\0\3\0\0", 8),
  };
  for (const std::string& packet : unchanged) CHECK(with_client_address(packet, "10.0.0.7") == packet);
}
