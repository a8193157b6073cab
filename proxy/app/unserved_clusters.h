// Clusters that the members agree on, and that this pgkeel does not serve: it lets nobody through to them, so it says
// of each newest route of theirs that it follows it, and no other member waits for it. One that is served later begins
// with the newest route that was acknowledged, or a later one. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "replication/coordination/coordination.h"

namespace pgkeel {

class UnservedClusters {
 public:
  // `when_followed` calls what it is given, later, when all workers have done what they were told before.
  UnservedClusters(Coordination& coordination, std::function<void(std::function<void()>)> when_followed);

  // Whenever the clusters that are served here, or what the members agree on, may have changed.
  void review(const std::set<std::string>& served);

 private:
  Coordination& coordination_;
  const std::function<void(std::function<void()>)> when_followed_;
  std::set<std::string> served_;
  std::set<std::string> closing_;  // were served, and the workers may not have ended their sessions yet
  std::map<std::string, std::uint64_t> acknowledged_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
