#include "proxy/app/host_watch.h"

#include <utility>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPause = 30s;
constexpr Duration kPauseAtFirst = 2s;  // until an agent has been reached

}  // namespace

HostWatch::HostWatch(Loop& loop, ClusterExecutor::Hosts hosts)
    : hosts_(std::move(hosts)), jobs_(loop), next_look_(loop, [this] { look(); }) {}

void HostWatch::look() {
  if (hosts_.empty()) return;
  const auto started = jobs_.run([this, hosts = hosts_](const JobRunner::Post&) -> JobRunner::Task {
    std::map<std::string, HostFacts> seen;
    for (const auto& [node, host] : hosts) {
      if (auto facts = host->facts()) seen[node] = std::move(facts->host);
    }
    return [this, seen = std::move(seen)]() mutable {
      seen_ = std::move(seen);
      next_look_.start_once(seen_.size() == hosts_.size() ? kPause : kPauseAtFirst);
    };
  });
  if (!started) next_look_.start_once(kPause);
}

// A look that is under way ends with the hosts that it began with, and the next one follows.
void HostWatch::reconfigure(ClusterExecutor::Hosts hosts) {
  hosts_ = std::move(hosts);
  if (jobs_.idle()) next_look_.start_once(Duration::zero());
}

const HostFacts* HostWatch::host(const std::string& node) const {
  const auto found = seen_.find(node);
  return found == seen_.end() ? nullptr : &found->second;
}

}  // namespace pgkeel
