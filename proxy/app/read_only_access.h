// The read-only endpoint of one cluster: leads its clients to the nodes that they may read from, and tells when these
// change. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/base/log.h"
#include "proxy/routing/route.h"
#include "replication/decide/read_only.h"
#include "replication/execute/cluster_controller.h"

namespace pgkeel {

class ReadOnlyAccess {
 public:
  // WorkerPool::publish_route, of this endpoint.
  using Publish = std::function<void(Route route, std::function<void()> applied, std::function<void()> drained)>;
  using Tell = std::function<void(LogLevel severity, const std::string& text)>;

  ReadOnlyAccess(const ClusterConfig& config, Publish publish, Tell tell);

  // Sessions stay where they may.
  void reconfigure(const ClusterConfig& config);

  // The write endpoint gets this route now: sessions of another epoch end. `applied` and `drained` as there.
  void follow(const RouteOrder& order, const std::vector<NodeView>& nodes, const std::set<std::string>& maintained,
              Instant now, std::function<void()> applied, std::function<void()> drained);

  // Another process has led reads so until now. What it knew of a node holds until this one has measured the node
  // itself, or cannot for failure_timeout.
  void resume(const RouteOrder& order, Route open, Instant now);
  [[nodiscard]] const Route& published() const { return published_; }

  // Something was heard of the nodes, or time has passed.
  void review(const std::vector<NodeView>& nodes, const std::set<std::string>& maintained, Instant now);

  [[nodiscard]] const std::vector<Reader>& readers() const { return readers_; }
  // New sessions go to this node.
  [[nodiscard]] bool takes_new(const Reader& reader) const;

 private:
  void decide(const std::vector<NodeView>& nodes, const std::set<std::string>& maintained, Instant now);
  [[nodiscard]] Route route(const std::vector<NodeView>& nodes) const;
  void forget_inherited(const std::vector<NodeView>& nodes, Instant now);
  void tell_of_changes(const std::vector<Reader>& before);

  Publish publish_;
  Tell tell_;
  Duration failure_timeout_{};
  ReadOnlyEndpoint endpoint_;
  RouteOrder order_;
  bool follows_ = false;  // there was a first order
  std::vector<Reader> readers_;
  Route published_;
  std::string told_;                   // where new sessions go
  std::vector<ReadTarget> inherited_;  // see resume()
  Instant inherited_until_{};
};

ReadOnlyStatus read_only_status(const ReadOnlyAccess& access, const ReadOnlySessionStats& sessions);

}  // namespace pgkeel
