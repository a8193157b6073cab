#include "proxy/vip/announcement.h"

#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace pgkeel;

namespace {

constexpr LinkAddress kLink = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

std::string hexadecimal(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace

TEST_CASE("a gratuitous ARP request and reply name the address as sender and as target") {
  const IpAddress address = parse_ip_address("10.0.0.100").value();
  CHECK(hexadecimal(gratuitous_arp(ArpOperation::kRequest, address, kLink)) ==
        "000108000604"
        "0001"
        "0211223344550a000064"
        "0000000000000a000064");
  CHECK(hexadecimal(gratuitous_arp(ArpOperation::kReply, address, kLink)) ==
        "000108000604"
        "0002"
        "0211223344550a000064"
        "0211223344550a000064");
}

TEST_CASE("an unsolicited neighbour advertisement goes to all nodes, overrides, and has a checksum that adds up") {
  const auto packet = neighbour_advertisement(parse_ip_address("fd00::64").value(), kLink);
  const std::string source = "fd000000000000000000000000000064";
  const std::string all_nodes = "ff020000000000000000000000000001";
  const std::string text = hexadecimal(packet);
  REQUIRE(packet.size() == 72);
  CHECK(text.substr(0, 16) == "6000000000203aff");
  CHECK(text.substr(16, 64) == source + all_nodes);
  CHECK(text.substr(80, 4) == "8800");
  CHECK(text.substr(88) == "20000000" + source + "0201021122334455");
  // Over the pseudo header and the message, its checksum included, the sum is all ones.
  std::uint32_t sum = 0x20 + 0x3a;
  for (std::size_t i = 8; i < packet.size(); i += 2) sum += packet[i] * 256U + packet[i + 1];
  while (sum > 0xFFFF) sum = (sum & 0xFFFFU) + (sum >> 16U);
  CHECK(sum == 0xFFFF);
}
