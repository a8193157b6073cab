#include "tests/support/network.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sched.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <utility>

#include "proxy/io/child_process.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

std::runtime_error system_failure(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

void run(std::vector<std::string> arguments) {
  const auto output = run_checked({.arguments = std::move(arguments), .limit = 30s});
  if (!output) throw std::runtime_error(output.error().message);
}

int open_own_namespace() {
  const int descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_failure("/proc/thread-self/ns/net");
  return descriptor;
}

}  // namespace

NetworkNamespace NetworkNamespace::create() {
  int descriptor = -1;
  std::exception_ptr failure;
  // The thread that makes it is in it ever after.
  std::thread maker([&] {
    try {
      if (unshare(CLONE_NEWNET) != 0) throw system_failure("a network namespace cannot be made");
      descriptor = open_own_namespace();
      run({"ip", "link", "set", "lo", "up"});
    } catch (...) {
      failure = std::current_exception();
    }
  });
  maker.join();
  NetworkNamespace made(descriptor);
  if (failure) std::rethrow_exception(failure);
  return made;
}

NetworkNamespace NetworkNamespace::of_this_thread() {
  return NetworkNamespace(open_own_namespace());
}

NetworkNamespace::~NetworkNamespace() {
  if (descriptor_ >= 0) close(descriptor_);
}

NetworkNamespace::NetworkNamespace(NetworkNamespace&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

void NetworkNamespace::enter() const {
  if (setns(descriptor_, CLONE_NEWNET) != 0) throw system_failure("a network namespace cannot be entered");
}

std::string Network::obstacle() {
  if (geteuid() != 0) return "only root can make network namespaces";
  try {
    const Network network({"one", "two"});
    network.cut_both_ways("one", "two");
    network.heal();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

Network::Network(const std::vector<std::string>& hosts) : bridge_(NetworkNamespace::create()) {
  const Visit at_bridge(bridge_);
  run({"ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0"});
  run({"ip", "link", "set", "bridge", "up"});
  for (const auto& host : hosts) {
    const std::string number = std::to_string(hosts_.size() + 1);
    const auto [at, added] = hosts_.emplace(host, Host{"10.77.0." + number, NetworkNamespace::create()});
    const std::string port = "port" + number;
    run({"ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
         "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(at->second.name_space.descriptor())});
    run({"ip", "link", "set", port, "master", "bridge", "up"});
    const Visit at_host(at->second.name_space);
    run({"ip", "address", "add", at->second.address + "/24", "dev", "eth0"});
    run({"ip", "link", "set", "eth0", "up"});
    run({"nft", "add table inet cuts; add chain inet cuts input { type filter hook input priority 0; }"});
  }
}

void Network::cut(const std::string& from, const std::string& to) const {
  const Visit receiver = visit(to);
  run({"nft", "add rule inet cuts input ip saddr " + address(from) + " drop"});
}

void Network::cut_both_ways(const std::string& one, const std::string& other) const {
  cut(one, other);
  cut(other, one);
}

void Network::isolate(const std::string& host) const {
  for (const auto& [other, ignored] : hosts_) {
    if (other != host) cut_both_ways(host, other);
  }
}

void Network::heal() const {
  for (const auto& [name, host] : hosts_) {
    const Visit at_host(host.name_space);
    run({"nft", "flush chain inet cuts input"});
  }
}

}  // namespace pgkeel::test
