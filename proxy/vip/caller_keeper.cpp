#include "proxy/vip/caller_keeper.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <span>
#include <sys/socket.h>
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/vip/caller.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// More than the others take to agree on the next holder; who asked longer ago has asked again.
constexpr Duration kKeepFor = 4s;
constexpr Duration kWaitFor = 2s;
constexpr Duration kPassOnAgain = 30ms;
constexpr std::size_t kCallersMax = 4096;
constexpr std::size_t kPacketBytesMax = 256;  // a SYN has its headers alone, or a cookie for its data
constexpr int kPacketsAtOnce = 64;            // then the loop's others have their turn

// A coarse one, for what else goes to this host: packets to an address that ends like ours, and ICMPv6.
std::vector<sock_filter> filter_of(const IpAddress& address, bool is_ipv4) {
  constexpr std::uint32_t kIpv4Destination = 16;
  constexpr std::uint32_t kEndOfIpv6Destination = 36;
  constexpr std::uint32_t kIpv6NextHeader = 6;
  constexpr std::uint32_t kIcmpv6 = 58;
  std::uint32_t last_word = 0;
  std::memcpy(&last_word, &address.bytes[address.bytes.size() - sizeof last_word], sizeof last_word);
  std::vector<sock_filter> program;
  if (!is_ipv4) {
    program.push_back({.code = BPF_LD | BPF_B | BPF_ABS, .jt = 0, .jf = 0, .k = kIpv6NextHeader});
    program.push_back({.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 2, .jf = 0, .k = kIcmpv6});
  }
  program.push_back(
      {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = is_ipv4 ? kIpv4Destination : kEndOfIpv6Destination});
  program.push_back({.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = ntohl(last_word)});
  program.push_back({.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = kPacketBytesMax});
  program.push_back({.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0});
  return program;
}

}  // namespace

CallerKeeper::CallerKeeper(Loop& loop, const IpAddress& address, bool is_ipv4)
    : loop_(loop), address_(address), is_ipv4_(is_ipv4), limit_(loop, [this] { end(); }), again_(loop, [this] {
        is_passed_on_again_ = true;
        for (const auto& each : std::exchange(kept_, {})) pass_on(each);
      }) {}

int CallerKeeper::begin(unsigned interface) {
  const bool goes_on = !ears_.empty() && interface == interface_ && !next_holder_;
  if (goes_on) {
    waits_until_ = loop_.now() + kWaitFor;
    limit_.start_once(kKeepFor);
    return 0;
  }
  end();
  interface_ = interface;
  int error = listen(interface, is_ipv4_ ? ETH_P_IP : ETH_P_IPV6);
  if (error == 0 && is_ipv4_) error = listen(interface, ETH_P_ARP);
  if (error != 0) {
    end();
    return error;
  }
  waits_until_ = loop_.now() + kWaitFor;
  limit_.start_once(kKeepFor);
  return 0;
}

void CallerKeeper::end() {
  limit_.stop();
  again_.stop();
  is_passed_on_again_ = false;
  ears_.clear();
  kept_.clear();
  next_holder_.reset();
}

bool CallerKeeper::is_waiting() const {
  return !ears_.empty() && !is_passed_on_again_ && loop_.now() < waits_until_;
}

int CallerKeeper::listen(unsigned interface, std::uint16_t protocol) {
  // Of no protocol before it is filtered and bound: nothing else is heard in between.
  Ear ear{Descriptor(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), nullptr};
  if (!ear.socket.is_open()) return errno;
  if (protocol != ETH_P_ARP) {
    auto program = filter_of(address_, is_ipv4_);
    const sock_fprog filter{.len = static_cast<std::uint16_t>(program.size()), .filter = program.data()};
    if (setsockopt(ear.socket.number(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) return errno;
  }
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(protocol);
  here.sll_ifindex = static_cast<int>(interface);
  if (bind(ear.socket.number(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) return errno;
  ear.watch = std::make_unique<FdWatch>(loop_, ear.socket.number(),
                                        [this, number = ear.socket.number()](FdInterest) { hear(number); });
  ear.watch->set_interest({.readable = true});
  ears_.push_back(std::move(ear));
  return 0;
}

void CallerKeeper::hear(int socket) {
  std::array<std::uint8_t, kPacketBytesMax + 1> buffer{};
  for (int packets = 0; packets < kPacketsAtOnce; ++packets) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t length =
        recvfrom(socket, buffer.data(), buffer.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
    if (length < 0) return;
    if (from.sll_pkttype == PACKET_OUTGOING || static_cast<std::size_t>(length) > kPacketBytesMax) continue;
    const auto packet = std::span<const std::uint8_t>(buffer).first(static_cast<std::size_t>(length));
    if (begins_to_connect(packet, address_)) {
      std::vector<std::uint8_t> syn(packet.begin(), packet.end());
      complete_checksum(syn);
      if (next_holder_) pass_on(syn);
      if (!is_passed_on_again_ && kept_.size() < kCallersMax) kept_.push_back(std::move(syn));
    } else if (!next_holder_ && announces(packet, address_, is_ipv4_) && from.sll_halen == LinkAddress{}.size()) {
      LinkAddress link{};
      std::memcpy(link.data(), from.sll_addr, link.size());
      next_holder_ = link;
      next_holder_is_heard();
    }
  }
}

// A kernel may not hear at the address yet when it has said that it has it (IPv6): all are passed on a second time.
// Whom it has heard already loses nothing by that.
void CallerKeeper::next_holder_is_heard() {
  for (const auto& each : kept_) pass_on(each);
  again_.start_once(kPassOnAgain);
}

// Whoever cannot be passed on asks again.
void CallerKeeper::pass_on(const std::vector<std::uint8_t>& packet) {
  sockaddr_ll target{};
  target.sll_family = AF_PACKET;
  target.sll_protocol = htons(is_ipv4_ ? ETH_P_IP : ETH_P_IPV6);
  target.sll_ifindex = static_cast<int>(interface_);
  target.sll_halen = static_cast<unsigned char>(next_holder_->size());
  std::ranges::copy(*next_holder_, target.sll_addr);
  sendto(ears_.front().socket.number(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&target),
         sizeof target);
}

}  // namespace pgkeel
