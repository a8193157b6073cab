#include "proxy/vip/caller.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "proxy/vip/announcement.h"

using namespace pgkeel;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr LinkAddress kLink = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

Bytes bytes_of(std::string_view hexadecimal) {
  Bytes bytes;
  for (std::size_t i = 0; i < hexadecimal.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(std::string(hexadecimal.substr(i, 2)), nullptr, 16)));
  return bytes;
}

IpAddress address(const char* text) {
  return parse_ip_address(text).value();
}

// From 10.0.0.7:40000 to 10.0.0.100:5432, with its right checksum.
const Bytes kSyn4 = bytes_of(
    "4500002c00004000400626620a0000070a000064"
    "9c40153800000001000000006002721060320000"
    "020405b4");
// From [fd00::7]:40000 to [fd00::64]:5432.
const Bytes kSyn6 = bytes_of(
    "6000000000180640fd000000000000000000000000000007fd000000000000000000000000000064"
    "9c4015380000000100000000600272107a300000"
    "020405b4");

Bytes with(Bytes packet, std::size_t at, std::uint8_t value) {
  packet.at(at) = value;
  return packet;
}

}  // namespace

TEST_CASE("who begins to connect to the address is known by the first segment, and nobody else is taken for it") {
  CHECK(begins_to_connect(kSyn4, address("10.0.0.100")));
  CHECK(begins_to_connect(kSyn6, address("fd00::64")));
  CHECK_FALSE(begins_to_connect(kSyn4, address("10.0.0.7")));
  CHECK_FALSE(begins_to_connect(kSyn4, address("fd00::64")));
  CHECK_FALSE(begins_to_connect(kSyn6, address("fd00::7")));
  for (const std::uint8_t flags : std::initializer_list<std::uint8_t>{0x00, 0x01, 0x03, 0x06, 0x10, 0x12, 0x18}) {
    CHECK_FALSE(begins_to_connect(with(kSyn4, 33, flags), address("10.0.0.100")));
    CHECK_FALSE(begins_to_connect(with(kSyn6, 53, flags), address("fd00::64")));
  }
  CHECK(begins_to_connect(with(kSyn4, 33, 0xC2), address("10.0.0.100")));  // with ECN
  CHECK_FALSE(begins_to_connect(with(kSyn4, 9, 17), address("10.0.0.100")));
  CHECK_FALSE(begins_to_connect(with(kSyn6, 6, 17), address("fd00::64")));
  CHECK_FALSE(begins_to_connect(with(kSyn4, 7, 1), address("10.0.0.100")));  // a later fragment
  CHECK_FALSE(begins_to_connect(with(kSyn4, 6, 0x20), address("10.0.0.100")));
}

TEST_CASE("whatever is cut off, too long or nonsense is nobody") {
  for (const Bytes& whole : {kSyn4, kSyn6}) {
    const IpAddress to = address(whole[0] >> 4U == 4 ? "10.0.0.100" : "fd00::64");
    for (std::size_t length = 0; length < whole.size(); ++length) {
      Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK_FALSE(begins_to_connect(part, to));
      const Bytes before = part;
      complete_checksum(part);
      CHECK(part == before);
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const unsigned value : {0x00U, 0x0FU, 0x45U, 0xFFU}) {
        Bytes changed = with(whole, at, static_cast<std::uint8_t>(value));
        begins_to_connect(changed, to);
        announces(changed, to, true);
        announces(changed, to, false);
        complete_checksum(changed);
        CHECK(changed.size() == whole.size());
      }
    }
  }
}

TEST_CASE("a checksum that was left to the network card is made, behind it padding does not count") {
  for (const Bytes& whole : {kSyn4, kSyn6}) {
    const std::size_t at = whole[0] >> 4U == 4 ? 36 : 56;
    Bytes packet = with(with(whole, at, 0x12), at + 1, 0x34);
    packet.resize(packet.size() + 6, 0xAA);
    complete_checksum(packet);
    packet.resize(whole.size());
    CHECK(packet == whole);
  }
}

TEST_CASE("the next holder is known by what it announces, not by who asks for it") {
  const IpAddress vip4 = address("10.0.0.100");
  const IpAddress vip6 = address("fd00::64");
  for (const ArpOperation operation : {ArpOperation::kRequest, ArpOperation::kReply})
    CHECK(announces(gratuitous_arp(operation, vip4, kLink), vip4, true));
  CHECK(announces(neighbour_advertisement(vip6, kLink), vip6, false));
  CHECK_FALSE(announces(gratuitous_arp(ArpOperation::kReply, address("10.0.0.7"), kLink), vip4, true));
  CHECK_FALSE(announces(neighbour_advertisement(address("fd00::7"), kLink), vip6, false));
  // 10.0.0.7 asks who has it.
  const Bytes question = bytes_of(
      "0001080006040001"
      "0211223344550a000007"
      "0000000000000a000064");
  CHECK_FALSE(announces(question, vip4, true));
  CHECK_FALSE(announces(Bytes(8), vip4, true));
  CHECK_FALSE(announces(Bytes(), vip6, false));
}
