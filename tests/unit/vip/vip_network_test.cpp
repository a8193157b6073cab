// The virtual IP on hosts in network namespaces: who has it, and whom a third host takes for its holder. As root.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/socket.h"
#include "proxy/io/timer.h"
#include "proxy/vip/address_table.h"
#include "proxy/vip/vip_holder.h"
#include "tests/support/namespaces_work.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// A client whose first segment is not answered.
constexpr Duration kAsksAgainAfter = 1s;

struct Version {
  std::string name;
  InterfaceAddress vip;
};

const std::vector<Version>& versions() {
  static const std::vector<Version> all = {{"IPv4", parse_interface_address("10.77.0.100/24").value()},
                                           {"IPv6", parse_interface_address("fd77::100/64").value()}};
  return all;
}

std::string run(std::vector<std::string> arguments) {
  return run_checked({.arguments = std::move(arguments), .limit = 30s}).value();
}

Instant now() {
  return Instant{since_boot()};
}

// What a holder and its owner share.
struct Order {
  std::atomic<std::int64_t> until{0};  // nanoseconds since boot
  std::atomic<int> events[6] = {};     // by VipEvent::Kind
};

// A process with a VipHolder that does what the order says. It ends with the test, whatever happens.
class HolderProcess {
 public:
  HolderProcess(const Network& network, const std::string& host, const InterfaceAddress& vip) {
    void* shared = mmap(nullptr, sizeof(Order), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    order_ = new (shared) Order;
    const auto visit = network.visit(host);
    const pid_t parent = getpid();
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(2);
    Loop loop;
    auto holder = VipHolder::open(loop, vip, "eth0", VipLeftover::kRemove, [this](const VipEvent& event) {
      ++order_->events[static_cast<std::size_t>(event.kind)];
    });
    if (!holder) _exit(3);
    std::int64_t known = 0;
    Timer look(loop, [&] {
      const std::int64_t until = order_->until;
      if (until != std::exchange(known, until)) (*holder)->hold(Instant{Duration(until)});
    });
    look.start_repeating(5ms);
    loop.run();
    _exit(0);
  }
  ~HolderProcess() {
    end();
    munmap(order_, sizeof(Order));
  }
  HolderProcess(const HolderProcess&) = delete;
  HolderProcess& operator=(const HolderProcess&) = delete;

  void hold_until(Instant until) { order_->until = until.time_since_epoch().count(); }
  void signal(int number) const { kill(pid_, number); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  [[nodiscard]] int count(VipEvent::Kind kind) const { return order_->events[static_cast<std::size_t>(kind)]; }

 private:
  Order* order_ = nullptr;
  pid_t pid_ = -1;
};

// Two hosts that may hold the address, and a third one that talks to it.
struct Hosts {
  explicit Hosts(const InterfaceAddress& address) : network({"left", "right", "client"}), vip(address) {
    int number = 0;
    for (const char* host : {"left", "right", "client"}) {
      const auto visit = network.visit(host);
      run({"ip", "address", "add", "fd77::" + std::to_string(++number) + "/64", "dev", "eth0", "nodad"});
      tables.push_back(std::make_unique<AddressTable>(AddressTable::open().value()));
    }
  }

  [[nodiscard]] bool has(std::size_t host) {
    const auto held = tables.at(host)->list();
    REQUIRE(held);
    return std::ranges::any_of(*held, [this](const HeldAddress& each) { return each.address == vip; });
  }
  [[nodiscard]] bool left_has() { return has(0); }
  [[nodiscard]] bool right_has() { return has(1); }
  [[nodiscard]] std::string text() const { return format_ip_address(vip.address); }

  // Sends it something, so that its link address is asked for.
  void talk_to_vip() {
    const auto visit = network.visit("client");
    const SocketAddress target = numeric_socket_addresses({text(), 9}).at(0);
    const int datagrams = ::socket(target.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(datagrams, "x", 1, 0, reinterpret_cast<const sockaddr*>(&target.storage), target.size);
    close(datagrams);
  }
  std::string at(const std::string& host, std::vector<std::string> command) {
    const auto visit = network.visit(host);
    return run(std::move(command));
  }
  std::string word_behind(const std::string& key, const std::string& output) {
    const std::size_t at = output.find(key + " ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + key.size() + 1;
    return output.substr(begin, output.find_first_of(" \n", begin) - begin);
  }
  // At which link address the client sees it; empty: it does not know.
  std::string seen_by_client() { return word_behind("lladdr", at("client", {"ip", "neighbour", "show", text()})); }
  std::string link_of(const std::string& host) {
    return word_behind("link/ether", at(host, {"ip", "link", "show", "eth0"}));
  }

  // Watches both until it is `enough`: how often both had it.
  int moments_with_two(const std::function<bool()>& enough) {
    int moments = 0;
    REQUIRE(wait_until([&] {
      moments += static_cast<int>(left_has() && right_has());
      return enough();
    }));
    return moments;
  }

  Network network;
  InterfaceAddress vip;
  std::vector<std::unique_ptr<AddressTable>> tables;
};

void for_each_version(const std::function<void(const InterfaceAddress&)>& test) {
  if (!namespaces_work()) return;
  for (const Version& version : versions()) {
    CAPTURE(version.name);
    test(version.vip);
  }
}

}  // namespace

TEST_CASE("a killed holder's address ends by itself, and its successor's is seen by others without asking") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    HolderProcess left(hosts.network, "left", vip);
    HolderProcess right(hosts.network, "right", vip);
    const Instant until = now() + 3s;
    left.hold_until(until);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    hosts.talk_to_vip();
    REQUIRE(wait_until([&] { return hosts.seen_by_client() == hosts.link_of("left"); }));
    left.end();
    REQUIRE(hosts.left_has());
    CHECK(hosts.moments_with_two([&] { return now() >= until || !hosts.left_has(); }) == 0);
    CHECK_FALSE(hosts.left_has());
    right.hold_until(now() + 10s);
    CHECK(wait_until([&] { return hosts.seen_by_client() == hosts.link_of("right"); }));
    CHECK_FALSE(hosts.left_has());
    right.hold_until(Instant{});
    CHECK(wait_until([&] { return !hosts.right_has(); }));
    CHECK(wait_until([&] { return right.count(VipEvent::Kind::kReleased) == 1; }));
  });
}

TEST_CASE("a holder that is stopped past its time has lost it, and does not take it when it goes on") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    HolderProcess left(hosts.network, "left", vip);
    HolderProcess right(hosts.network, "right", vip);
    const Instant until = now() + 3s;
    left.hold_until(until);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    left.signal(SIGSTOP);
    CHECK(hosts.moments_with_two([&] { return now() >= until; }) == 0);
    CHECK_FALSE(hosts.left_has());
    right.hold_until(now() + 10s);
    CHECK(hosts.moments_with_two([&] { return hosts.right_has(); }) == 0);
    left.signal(SIGCONT);
    const auto has_noticed = [&] {
      return left.count(VipEvent::Kind::kVanished) + left.count(VipEvent::Kind::kReleased) > 0;
    };
    CHECK(hosts.moments_with_two(has_noticed) == 0);
    CHECK_FALSE(hosts.left_has());
    CHECK(hosts.right_has());
  });
}

TEST_CASE("renewed in time, the address stays") {
  if (!namespaces_work()) return;
  Hosts hosts(versions()[0].vip);
  HolderProcess left(hosts.network, "left", hosts.vip);
  left.hold_until(now() + 3s);
  REQUIRE(wait_until([&] { return hosts.left_has(); }));
  int moments_without = 0;
  const Instant end = now() + 3s;
  Instant renewed = now();
  CHECK(wait_until([&] {
    moments_without += static_cast<int>(!hosts.left_has());
    if (now() - renewed >= 500ms) {
      renewed = now();
      left.hold_until(renewed + 3s);
    }
    return now() >= end;
  }));
  CHECK(moments_without == 0);
  CHECK(left.count(VipEvent::Kind::kTaken) == 1);
}

TEST_CASE("renewed when it was about to leave, it stays, and that is told") {
  if (!namespaces_work()) return;
  Hosts hosts(versions()[0].vip);
  HolderProcess left(hosts.network, "left", hosts.vip);
  left.hold_until(now() + 60s);
  REQUIRE(wait_until([&] { return left.count(VipEvent::Kind::kTaken) == 1; }));
  // Where this process comes too late, it has left meanwhile, and is taken anew.
  CHECK(wait_until([&] {
    const int taken = left.count(VipEvent::Kind::kTaken);
    const int endings = left.count(VipEvent::Kind::kEnding);
    left.hold_until(now() + 400ms);
    REQUIRE(wait_until([&] { return left.count(VipEvent::Kind::kEnding) > endings; }));
    left.hold_until(now() + 60s);
    return wait_until(
               [&] { return left.count(VipEvent::Kind::kStays) > 0 || left.count(VipEvent::Kind::kTaken) > taken; }) &&
           left.count(VipEvent::Kind::kStays) > 0;
  }));
  CHECK(hosts.left_has());
}

TEST_CASE("what somebody removes comes back, and the host's own routes and connections stay as they were") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    const std::string family = vip.is_ipv4 ? "-4" : "-6";
    const std::vector<std::string> show_routes = {"ip", family, "route", "show", "table", "main"};
    const std::string routes = hosts.at("left", show_routes);
    HolderProcess left(hosts.network, "left", vip);
    left.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    const std::string other = vip.is_ipv4 ? "10.77.0.3" : "fd77::3";
    CHECK(hosts.at("left", {"ip", "route", "get", other}).find(hosts.text()) == std::string::npos);
    CHECK(hosts.at("left", show_routes) == routes);
    hosts.at("left", {"ip", "address", "del", hosts.text() + "/" + std::to_string(vip.prefix_length), "dev", "eth0"});
    CHECK(wait_until([&] { return left.count(VipEvent::Kind::kVanished) == 1 && hosts.left_has(); }));
    left.hold_until(Instant{});
    CHECK(wait_until([&] { return !hosts.left_has(); }));
    CHECK(hosts.at("left", show_routes) == routes);
  });
}

TEST_CASE("a link that goes down and comes back: others learn the address anew") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    HolderProcess left(hosts.network, "left", vip);
    left.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    hosts.at("left", {"ip", "link", "set", "eth0", "down"});
    hosts.at("left", {"ip", "link", "set", "eth0", "up"});
    CHECK(wait_until([&] {
      hosts.talk_to_vip();
      return hosts.left_has() && hosts.seen_by_client() == hosts.link_of("left");
    }));
  });
}

TEST_CASE("who listens there before the address comes serves it as soon as it is there") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    SocketAddress address = numeric_socket_addresses({hosts.text(), 0}).at(0);
    Socket listening;
    {
      const auto visit = hosts.network.visit("left");
      CHECK_FALSE(Socket::bind_to(address, Socket::FamilyShare::kBoth));
      listening =
          std::move(Socket::bind_to(address, Socket::FamilyShare::kBoth, Socket::HostAddress::kSomeTime).value());
      REQUIRE(listening.start_listening());
      address = address.with_port(listening.bound_port());
    }
    HolderProcess left(hosts.network, "left", vip);
    left.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    const auto visit = hosts.network.visit("client");
    const auto client = Socket::connect_to(address);
    CHECK(client);
    CHECK(wait_until([&] { return listening.accept_one().has_value(); }));
  });
}

TEST_CASE("who connects while the address moves is answered by its next holder, without asking again") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    SocketAddress address = numeric_socket_addresses({hosts.text(), 0}).at(0);
    std::vector<Socket> listening;
    for (const char* host : {"left", "right"}) {
      const auto visit = hosts.network.visit(host);
      auto bound = Socket::bind_to(address, Socket::FamilyShare::kBoth, Socket::HostAddress::kSomeTime);
      REQUIRE(bound);
      REQUIRE(bound->start_listening());
      address = address.with_port(bound->bound_port());
      listening.push_back(std::move(*bound));
    }
    HolderProcess left(hosts.network, "left", vip);
    HolderProcess right(hosts.network, "right", vip);
    left.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    hosts.talk_to_vip();
    REQUIRE(wait_until([&] { return hosts.seen_by_client() == hosts.link_of("left"); }));

    // As its owner does it, who is told.
    listening[0].turn_deaf_to(vip.address);
    left.hold_until(now() + 120ms);
    REQUIRE(wait_until([&] { return left.count(VipEvent::Kind::kEnding) == 1; }));
    const auto visit = hosts.network.visit("client");
    const Instant began = now();
    const auto client = Socket::connect_to(address);
    REQUIRE(client);
    REQUIRE(wait_until([&] { return !hosts.left_has(); }));
    right.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.right_has(); }));
    const Duration moved_in = now() - began;
    REQUIRE(wait_until([&] { return listening[1].accept_one().has_value(); }));
    tcp_info info{};
    socklen_t size = sizeof info;
    REQUIRE(getsockopt(client->descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    MESSAGE("moved in ", format_duration(moved_in), ", answered after ", format_duration(now() - began));
    if (moved_in < kAsksAgainAfter - 100ms) CHECK(info.tcpi_total_retrans == 0);
  });
}

TEST_CASE("an earlier life's address is removed at start, or kept for the one that takes over") {
  for_each_version([](const InterfaceAddress& vip) {
    Hosts hosts(vip);
    HolderProcess first(hosts.network, "left", vip);
    first.hold_until(now() + 60s);
    REQUIRE(wait_until([&] { return hosts.left_has(); }));
    first.end();
    CHECK(hosts.left_has());
    const auto visit = hosts.network.visit("left");
    Loop loop;
    const auto ignore = [](const VipEvent&) {};
    {
      auto successor = VipHolder::open(loop, vip, "eth0", VipLeftover::kKeep, ignore);
      REQUIRE(successor);
      CHECK(hosts.left_has());
    }
    CHECK(hosts.left_has());  // that one never came to take over
    {
      auto successor = VipHolder::open(loop, vip, "eth0", VipLeftover::kKeep, ignore);
      REQUIRE(successor);
      (*successor)->take_over();
      (*successor)->hold(now() + 60s);
      CHECK((*successor)->is_held());
      (*successor)->leave_to_successor();
    }
    CHECK(hosts.left_has());
    CHECK(VipHolder::open(loop, vip, "eth0", VipLeftover::kRemove, ignore));
    CHECK_FALSE(hosts.left_has());
  });
}

TEST_CASE("what cannot work is said at start") {
  if (!namespaces_work()) return;
  Hosts hosts(versions()[0].vip);
  const auto visit = hosts.network.visit("left");
  Loop loop;
  const auto why_not = [&](const char* address, const char* interface) -> std::string {
    const auto holder = VipHolder::open(loop, parse_interface_address(address).value(), interface, VipLeftover::kRemove,
                                        [](const VipEvent&) {});
    return holder ? "" : holder.error().message;
  };
  CHECK(why_not("10.77.0.100/24", "eth7") == "vip: there is no interface eth7");
  CHECK(why_not("10.77.0.1/24", "eth0") ==
        "vip: 10.77.0.1 is configured on this host already, for good; leave it to pgkeel");
  CHECK(why_not("10.77.0.100/24", "eth0").empty());
}

TEST_CASE("without its capabilities it says which one is missing") {
  if (!namespaces_work()) return;
  Hosts hosts(versions()[0].vip);
  const auto visit = hosts.network.visit("left");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setuid(kNobody) != 0) _exit(2);
    Loop loop;
    const auto holder = VipHolder::open(loop, hosts.vip, "eth0", VipLeftover::kRemove, [](const VipEvent&) {});
    _exit(!holder && holder.error().message.find("CAP_NET_RAW") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
