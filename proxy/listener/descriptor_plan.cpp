#include "proxy/listener/descriptor_plan.h"

#include <algorithm>
#include <string>

#include "proxy/io/descriptor_limit.h"

namespace pgkeel {
namespace {

// Generous: what is kept back and not used costs a few clients, what is missing may cost a failover.
constexpr std::uint64_t kOfProcess = 64;   // log, state and event files, pipes of a program or two, name look-ups
constexpr std::uint64_t kOfAdmin = 64;     // its requests are limited to fewer
constexpr std::uint64_t kPerWorker = 8;    // of its loop, and two beats
constexpr std::uint64_t kPerEndpoint = 8;  // its listeners, its state file while it is written
constexpr std::uint64_t kPerNode = 12;     // probe, knock, postmaster watch, and an action's connections and pipes
constexpr std::uint64_t kDataPathMin = 16;
constexpr std::uint64_t kDataPathMax = 100'000'000;  // where the system sets no limit
constexpr std::uint64_t kNewcomersMax = 1024;        // of what clients could have
constexpr std::uint64_t kSpareNewcomersMax = 8192;   // where the clients leave that many
constexpr std::uint64_t kNewcomerFraction = 4;

std::uint64_t newcomers_of(std::uint64_t data_path) {
  return std::min(kNewcomersMax, data_path / kNewcomerFraction);
}

// Of the admin endpoint and of the one for other pgkeels.
std::uint64_t at_doors(std::uint64_t limit) {
  return door_places(limit) > door_places(0) ? 2 * door_places(limit) : 0;
}

// Two for each client, and the newcomers' part beside them.
std::uint64_t data_path_for(std::uint64_t clients) {
  const std::uint64_t pairs = 2 * clients;
  const std::uint64_t whole = (pairs * kNewcomerFraction + kNewcomerFraction - 2) / (kNewcomerFraction - 1);
  return std::min(whole, pairs + kNewcomersMax);
}

}  // namespace

Result<DescriptorPlan> plan_descriptors(std::uint64_t limit, const DescriptorNeeds& needs) {
  const std::uint64_t least =
      kOfProcess + kOfAdmin + kPerWorker * needs.workers + kPerEndpoint * needs.endpoints + kPerNode * needs.nodes;
  const std::uint64_t reserve = least + at_doors(limit);
  const std::uint64_t wanted_least = least + std::max(kDataPathMin, data_path_for(needs.clients));
  const std::uint64_t wanted = wanted_least + at_doors(wanted_least + at_doors(wanted_least));
  if (limit < reserve + kDataPathMin) {
    return Error{"the limit on open files (RLIMIT_NOFILE) is " + std::to_string(limit) +
                 ", of which pgkeel itself needs " + std::to_string(reserve) +
                 "; for max_client_connections = " + std::to_string(needs.clients) + " raise it to " +
                 std::to_string(wanted) + " (systemd: LimitNOFILE=, shell: ulimit -n)"};
  }
  const std::uint64_t data_path = std::min(limit - reserve, kDataPathMax);
  const std::uint64_t pairs = 2 * std::uint64_t{needs.clients};
  const std::uint64_t spare = data_path > pairs ? data_path - pairs : 0;
  // All clients come at once after a failover: the more room they have to say who they are, the fewer are turned away.
  const std::uint64_t newcomers = std::max(newcomers_of(data_path), std::min(kSpareNewcomersMax, spare));
  const std::uint64_t clients = std::min<std::uint64_t>(needs.clients, (data_path - newcomers) / 2);
  return DescriptorPlan{.data_path = static_cast<std::uint32_t>(data_path),
                        .newcomers = static_cast<std::uint32_t>(newcomers),
                        .clients = static_cast<std::uint32_t>(clients),
                        .wanted = wanted};
}

}  // namespace pgkeel
