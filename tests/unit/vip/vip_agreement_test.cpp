// Two pgkeels' worth of members on a real etcd, each a process with a host in a network namespace of its own: who has
// the virtual IP when one is killed, stopped, or cut from etcd. As root, where etcd is installed.
#include "proxy/vip/vip_agreement.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/random_id.h"
#include "proxy/vip/address_table.h"
#include "proxy/vip/vip_holder.h"
#include "tests/support/etcd_server.h"
#include "tests/support/namespaces_work.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr Duration kLease = 4s;

struct Shared {
  std::atomic<bool> leads{false};
  std::atomic<bool> may_all_lead{false};  // as this one knows: both are on the roster
};

// Ends with the test, whatever happens.
class Member {
 public:
  Member(const Network& network, std::string name, std::string etcd, const InterfaceAddress& vip)
      : network_(network), name_(std::move(name)), etcd_(std::move(etcd)), vip_(vip) {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
    start();
  }
  ~Member() {
    kill();
    munmap(shared_, sizeof(Shared));
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  void start() {
    shared_->leads = shared_->may_all_lead = false;
    const pid_t parent = getpid();
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) live();
    _exit(1);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  void signal(int number) const { ::kill(pid_, number); }
  [[nodiscard]] bool leads() const { return shared_->leads; }
  [[nodiscard]] bool may_all_lead() const { return shared_->may_all_lead; }

 private:
  void live() {
    Loop loop;
    std::unique_ptr<VipAgreement> agreement;
    std::unique_ptr<VipHolder> holder;
    {
      const auto visit = network_.visit(name_);
      auto opened = VipHolder::open(loop, vip_, "eth0", VipLeftover::kRemove, [&](const VipEvent&) {
        if (agreement) agreement->review();
      });
      if (!opened) return;
      holder = std::move(*opened);
    }
    CoordinationSettings settings;
    settings.etcd.endpoints = {etcd_};
    settings.prefix = "/vip/";
    settings.lease = kLease;
    settings.name = name_;
    settings.self.machine = name_;
    settings.self.instance = random_id();
    settings.self.address = name_ + ":1";
    const auto no_promise = [&loop](const std::string&, const PromiseRequest&,
                                    const std::function<void(std::optional<Promise>)>& done) {
      loop.defer([done] { done(std::nullopt); });
    };
    Coordinator coordinator(loop, settings, no_promise, [&] {
      look();
      if (agreement) agreement->review();
    });
    look = [&] {
      shared_->leads = coordinator.membership().leads(Coordinator::now());
      shared_->may_all_lead = coordinator.membership().state().roster.members.size() == 2 &&
                              coordinator.membership().state().members.size() == 2;
    };
    agreement = std::make_unique<VipAgreement>(coordinator, name_, kLease, holder.get(), [](const std::string&) {});
    coordinator.start();
    loop.run();
  }

  const Network& network_;
  const std::string name_;
  const std::string etcd_;
  const InterfaceAddress vip_;
  std::function<void()> look = [] {};
  Shared* shared_ = nullptr;
  pid_t pid_ = -1;
};

struct Pair {
  Pair()
      : network({"left", "right"}), left(network, "left", etcd.url(), vip), right(network, "right", etcd.url(), vip) {
    for (const char* host : {"left", "right"}) {
      const auto visit = network.visit(host);
      tables.push_back(std::make_unique<AddressTable>(AddressTable::open().value()));
    }
  }

  bool has(std::size_t host) {
    const auto held = tables.at(host)->list();
    REQUIRE(held);
    return std::ranges::any_of(*held, [this](const HeldAddress& each) { return each.address == vip; });
  }
  // Waits for it, and counts the moments in which both have the address.
  bool comes(const std::function<bool()>& condition) {
    return wait_until([&] {
      moments_with_two += static_cast<int>(has(0) && has(1));
      return condition();
    });
  }

  const InterfaceAddress vip = parse_interface_address("10.77.0.100/24").value();
  EtcdServer etcd;
  Network network;
  Member left;
  Member right;
  std::vector<std::unique_ptr<AddressTable>> tables;
  int moments_with_two = 0;
};

}  // namespace

TEST_CASE("the leader has the address; killed, stopped or cut from etcd it loses it before another one takes it") {
  if (!namespaces_work()) return;
  Pair pair;
  REQUIRE(pair.comes([&] { return pair.has(0) || pair.has(1); }));
  std::size_t holder = pair.has(0) ? 0 : 1;
  const auto member = [&](std::size_t which) -> Member& { return which == 0 ? pair.left : pair.right; };
  CHECK(member(holder).leads());
  const auto both_are_there = [&] { return pair.left.may_all_lead() && pair.right.may_all_lead(); };
  REQUIRE(pair.comes(both_are_there));

  Instant began = monotonic_now();
  member(holder).kill();
  REQUIRE(pair.comes([&] { return pair.has(1 - holder); }));
  MESSAGE("killed: taken over after " << format_duration(monotonic_now() - began));
  CHECK_FALSE(pair.has(holder));
  CHECK(member(1 - holder).leads());
  member(holder).start();
  holder = 1 - holder;
  REQUIRE(pair.comes(both_are_there));

  began = monotonic_now();
  member(holder).signal(SIGSTOP);
  REQUIRE(pair.comes([&] { return pair.has(1 - holder); }));
  MESSAGE("stopped: taken over after " << format_duration(monotonic_now() - began));
  CHECK_FALSE(pair.has(holder));
  member(holder).signal(SIGCONT);
  CHECK(pair.comes([&] { return !member(holder).leads(); }));
  CHECK_FALSE(pair.has(holder));
  holder = 1 - holder;
  CHECK(pair.has(holder));
  REQUIRE(pair.comes(both_are_there));

  began = monotonic_now();
  pair.etcd.freeze();
  REQUIRE(pair.comes([&] { return !pair.has(holder); }));
  CHECK(monotonic_now() - began < kLease * kSlowdown);
  pair.etcd.thaw();
  CHECK(pair.comes([&] { return pair.has(0) != pair.has(1); }));
  CHECK(pair.moments_with_two == 0);
}
