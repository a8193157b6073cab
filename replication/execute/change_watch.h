// When something outside of pgkeel changed on which it may depend whether a rejoin works: then one that was given up is
// tried once more. Part of ClusterController; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "replication/model/cluster_view.h"

namespace pgkeel {

class ChangeWatch {
 public:
  void saw(const std::vector<NodeView>& nodes, Instant now);
  // The room that there is now was not enough, where this fails.
  void rejoin_started(const std::string& node);
  void reconfigured() { reconfigured_ = true; }

  // Per node, the newest: its server answers again, its host can be reached again, there is much more room on its disk,
  // or the configuration was reloaded.
  [[nodiscard]] const std::map<std::string, Instant>& changes() const { return changes_; }

 private:
  struct Seen {
    bool answers = false;
    bool is_local = false;
    std::optional<std::uint64_t> room;
    std::optional<std::uint64_t> room_tried;  // when a rejoin was started last
  };

  std::map<std::string, Seen> seen_;
  std::map<std::string, Instant> changes_;
  bool reconfigured_ = false;
};

}  // namespace pgkeel
