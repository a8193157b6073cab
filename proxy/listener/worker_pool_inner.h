// What a WorkerPool is inside, for its own source files. Control thread, but for what hand_over() touches.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/cancel/cancel_allowance.h"
#include "proxy/io/descriptor_budget.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "proxy/io/wakeup.h"
#include "proxy/listener/access_change.h"
#include "proxy/listener/descriptor_plan.h"
#include "proxy/listener/worker.h"
#include "proxy/listener/worker_pool.h"

namespace pgkeel {

inline std::vector<int> descriptors_of(const std::vector<Socket>& sockets) {
  std::vector<int> descriptors;
  for (const auto& socket : sockets) descriptors.push_back(socket.descriptor());
  return descriptors;
}

struct WorkerPool::Inner {
  Inner(Loop& control_loop, const ProxyConfig& proxy_config, const std::vector<ClusterConfig>& cluster_configs,
        std::uint64_t most_descriptors, EvidenceSink on_evidence, CancelJudge judge, VerifierSource verifiers)
      : proxy(proxy_config),
        first_configs(cluster_configs),
        descriptor_limit(most_descriptors),
        evidence(std::move(on_evidence)),
        cancel_judge(std::move(judge)),
        verifier_source(std::move(verifiers)),
        control(control_loop),
        stop_limit(control_loop, [this] { finish_stop(); }) {}

  Result<void> start(std::vector<NamedSocket>& inherited, Duration port_patience);
  [[nodiscard]] Result<DescriptorPlan> plan_for(std::size_t worker_count, const ProxyConfig& wanted,
                                                const std::vector<ClusterConfig>& wanted_clusters) const;
  void tell_of_plan() const;
  [[nodiscard]] std::size_t acceptor_of(std::size_t place) const;
  [[nodiscard]] Listener::Room room();
  [[nodiscard]] Listener::OnClient on_client(std::size_t place);
  [[nodiscard]] std::optional<std::size_t> find(const std::string& endpoint) const;
  [[nodiscard]] std::size_t place_of(const std::string& endpoint) const;
  std::size_t add_place(const Access& access);
  std::size_t make_place_for(const Access& access);
  void close_place(std::size_t place, const std::vector<int>& handed_on);
  [[nodiscard]] std::vector<int> left_by(const std::vector<Access>& wanted) const;
  [[nodiscard]] ClusterSessionStats stats_of(std::size_t place) const;
  void make_workers(std::uint32_t count);
  void hand_over(std::size_t place, std::size_t acceptor, AcceptedClient client);
  [[nodiscard]] std::size_t least_loaded_worker();
  // Called by every worker; `then` is called on the control thread behind the last of them.
  [[nodiscard]] std::function<void()> by_the_last(std::function<void()> then);
  void end_threads();
  void finish_stop();

  // An endpoint that clients connect to, or did.
  struct Place {
    std::string cluster;
    Endpoint endpoint = Endpoint::kWrite;
    HostPort listen;
    std::uint16_t port = 0;      // bound
    std::vector<int> listening;  // descriptors; the listeners of the workers own them
    Route route;                 // the newest
    bool has_led_somewhere = false;
    bool gone = false;  // a reload took it away: sessions may still end, and it may come back

    [[nodiscard]] std::string name() const { return endpoint_name(cluster, endpoint); }
  };

  ProxyConfig proxy;
  const std::vector<ClusterConfig> first_configs;  // of the start
  const std::uint64_t descriptor_limit;
  EvidenceSink evidence;
  CancelJudge cancel_judge;
  VerifierSource verifier_source;
  StrangeCancel strange_cancel;
  CancelAllowance strange_cancels;
  void watch_strange_cancels(SharedCluster& cluster);
  Wakeup control;
  Timer stop_limit;
  struct AddedKey {
    std::size_t place = 0;
    CancelKey key;
    CancelRegistry::EntryId entry = 0;
  };
  std::vector<AddedKey> added_keys;
  std::vector<Place> places;
  std::vector<std::unique_ptr<SharedCluster>> clusters;  // what the workers share of each place
  DescriptorPlan plan;
  // Before the workers: their clients give back to these.
  std::optional<DescriptorBudget> descriptors;
  std::optional<DescriptorBudget> newcomers;
  std::atomic<std::uint32_t> clients{0};
  std::atomic<std::uint32_t> unproven{0};
  std::atomic<std::uint32_t> next_worker{0};
  std::vector<std::unique_ptr<Worker>> workers;
  bool running = false;
  bool started = false;  // once
  std::size_t workers_not_drained = 0;
  Instant states_counted_at{};
  std::function<void()> stopped;
};

}  // namespace pgkeel
