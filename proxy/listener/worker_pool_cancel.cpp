// The part of WorkerPool that hands cancel requests to other pgkeels, and takes theirs.
#include <utility>

#include "proxy/listener/worker_pool_inner.h"

namespace pgkeel {

void WorkerPool::on_strange_cancel(StrangeCancel tell) {
  inner_->strange_cancel = std::move(tell);
  for (const auto& cluster : inner_->clusters) inner_->watch_strange_cancels(*cluster);
}

void WorkerPool::Inner::watch_strange_cancels(SharedCluster& cluster) {
  if (!strange_cancel) return;
  cluster.on_strange_cancel = [this, name = cluster.name](const CancelKey& key, const IpAddress& sender, Instant now) {
    if (!strange_cancels.take(sender, now)) return;
    control.post([this, name, key] { strange_cancel(name, key); });
  };
}

bool WorkerPool::forward_cancel(const std::string& cluster, const CancelKey& key) {
  auto& inner = *inner_;
  for (std::size_t index = 0; index < inner.clusters.size(); ++index) {
    if (inner.clusters[index]->name != cluster || !inner.clusters[index]->cancel_registry.find(key)) continue;
    AcceptedClient nobody;
    nobody.descriptors = inner.descriptors->take();
    inner.workers[inner.least_loaded_worker()]->forward_cancel(index, std::move(nobody), key);
    return true;
  }
  return false;
}

}  // namespace pgkeel
