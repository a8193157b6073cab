// When the attempts to make a node a standby begin anew, as if none had failed: it streams, or something changed on
// which it may depend whether they work. Part of ClusterController. Pure; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "replication/model/cluster_view.h"

namespace pgkeel {

// What was away for so long, and is back for as long, is another than it was. What only blips, or is started again and
// again by a supervisor, is not.
constexpr Duration kAwayForLong = std::chrono::minutes(5);

class RejoinWatch {
 public:
  // The nodes whose attempts begin anew now:
  // * it streams from the primary, seen after its last attempt;
  // * an operator ordered it, or the configuration was reloaded;
  // * no attempt runs, and a disk of its server has much more room than any attempt before began with;
  // * its host (agent), or the primary, was away for long, and is back for as long;
  // * its server answers for as long, on another timeline than it was on when the last attempt began.
  std::set<std::string> saw(const std::vector<NodeView>& nodes, const std::string& primary, Instant now);

  void started(const std::string& node);
  void ended(const std::string& node, Instant now);
  void ordered(const std::string& node) { ordered_.insert(node); }
  void reconfigured() { reconfigured_ = true; }

 private:
  class Presence {
   public:
    // True once, when it is back for good.
    bool saw(bool is_here, Instant now);

   private:
    std::optional<bool> is_here_;
    Instant since_{};
    bool was_away_for_long_ = false;
  };
  struct Seen {
    Presence host;
    std::optional<Instant> answers_since;
    std::optional<Timeline> timeline;
    std::optional<Timeline> timeline_tried;
    std::map<std::string, std::uint64_t> room;
    std::map<std::string, std::uint64_t> most_room_tried;
    bool is_tried_now = false;
    Instant tried_until{};
  };

  static bool has_more_room(Seen& seen);
  static bool is_another_server(Seen& seen, Instant now);

  std::map<std::string, Seen> seen_;
  std::string primary_;
  Presence presence_of_primary_;
  std::set<std::string> ordered_;
  bool reconfigured_ = false;
};

}  // namespace pgkeel
