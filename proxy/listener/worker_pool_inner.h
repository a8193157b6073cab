// What a WorkerPool is inside, for its own source files. Control thread, but for what hand_over() touches.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
        configs(cluster_configs),
        descriptor_limit(most_descriptors),
        evidence(std::move(on_evidence)),
        cancel_judge(std::move(judge)),
        verifier_source(std::move(verifiers)),
        control(control_loop),
        stop_limit(control_loop, [this] { finish_stop(); }),
        ports(cluster_configs.size()),
        listening(cluster_configs.size()),
        routes(cluster_configs.size()),
        has_led_somewhere(cluster_configs.size()),
        gone(cluster_configs.size()) {}

  Result<void> start(std::vector<NamedSocket>& inherited);
  [[nodiscard]] Result<DescriptorPlan> plan_for(std::size_t worker_count, const ProxyConfig& wanted,
                                                const std::vector<ClusterConfig>& wanted_clusters) const;
  void tell_of_plan() const;
  [[nodiscard]] std::size_t acceptor_of(std::size_t cluster) const;
  [[nodiscard]] Listener::Room room();
  [[nodiscard]] Listener::OnClient on_client(std::size_t cluster);
  [[nodiscard]] std::optional<std::size_t> find(const std::string& name) const;
  std::size_t make_place_for(const AccessChange::Cluster& cluster);
  void make_workers(std::uint32_t count);
  void hand_over(std::size_t cluster, std::size_t acceptor, AcceptedClient client);
  [[nodiscard]] std::size_t least_loaded_worker();
  // Called by every worker; `then` is called on the control thread behind the last of them.
  [[nodiscard]] std::function<void()> by_the_last(std::function<void()> then);
  void end_threads();
  void finish_stop();
  [[nodiscard]] std::size_t cluster_index(const std::string& name) const;

  ProxyConfig proxy;
  std::vector<ClusterConfig> configs;  // also those that are gone: sessions may still end, and they may come back
  const std::uint64_t descriptor_limit;
  EvidenceSink evidence;
  CancelJudge cancel_judge;
  VerifierSource verifier_source;
  Wakeup control;
  Timer stop_limit;
  std::vector<std::uint16_t> ports;         // bound, by cluster
  std::vector<std::vector<int>> listening;  // descriptors, by cluster; the listeners of the workers own them
  struct AddedKey {
    std::size_t cluster = 0;
    CancelKey key;
    CancelRegistry::EntryId entry = 0;
  };
  std::vector<AddedKey> added_keys;
  std::vector<Route> routes;  // the newest, by cluster
  std::vector<bool> has_led_somewhere;
  std::vector<bool> gone;  // a reload took the cluster away
  std::vector<std::unique_ptr<SharedCluster>> clusters;
  DescriptorPlan plan;
  // Before the workers: their clients give back to these.
  std::optional<DescriptorBudget> descriptors;
  std::optional<DescriptorBudget> newcomers;
  std::atomic<std::uint32_t> clients{0};
  std::atomic<std::uint32_t> next_worker{0};
  std::vector<std::unique_ptr<Worker>> workers;
  bool running = false;
  bool started = false;  // once
  std::size_t workers_not_drained = 0;
  std::function<void()> stopped;
};

}  // namespace pgkeel
