// Who of several pgkeels leads, as far as this one has a say: a leader hands over where it alone does not hear from a
// primary, or cannot decide (replication/coordination/succession), or where an operator orders it. Level-triggered:
// review() looks at the whole. Control thread only; callbacks never come from inside a call, but for those of order().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/shared_sight.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/admin/lead_answer.h"
#include "proxy/base/log.h"
#include "proxy/io/timer.h"
#include "replication/coordination/coordination.h"
#include "replication/coordination/succession.h"
#include "replication/peers/peer_circle.h"

namespace pgkeel {

class Loop;

// A cluster as its service here sees it.
struct LedCluster {
  std::string name;
  std::string primary;
  Duration failure_timeout{};
  bool hears_primary = false;  // this pgkeel alone
  std::string heard_by;        // the other pgkeel that hears from the primary, which failed for this one
  std::string under_way;       // what must end before another one may decide; empty: nothing
  std::optional<Obstacle> obstacle = std::nullopt;  // that keeps this pgkeel from deciding, or would
};

class Leadership {
 public:
  struct Wires {
    std::function<std::vector<LedCluster>()> clusters;
    std::function<std::map<std::string, SeenView>()> views;  // what the other members said of late, by name
    std::function<void(LogLevel severity, const std::string& text)> tell;
  };
  using Answered = std::function<void(LeadAnswer)>;

  // `moves_address`: a virtual IP goes with the leadership.
  Leadership(Loop& loop, Coordination& coordination, bool moves_address, Wires wires);

  // Whenever what the members agree on, or what they see, may have changed.
  void review();

  // An operator's, who is told in `by`. Answered at once where it is refused or a preview, else when another one leads.
  void order(const LeadRequest& request, const std::string& by, Answered answered);

  // This pgkeel is being ended, because of `why`: from now on it comes to lead but where nobody else does, and hands on
  // what it leads as soon as another one can. That one must have said after this that it is not ending as well.
  void stand_back(const std::string& why);
  [[nodiscard]] bool stands_back() const { return standing_back_.has_value(); }
  // It leads, and another one lives that is not known to be ending.
  [[nodiscard]] bool leads_another() const;
  // Why it leads although it stands back; empty: it does not, or nothing has been tried yet.
  [[nodiscard]] const std::string& why_it_still_leads() const { return why_it_still_leads_; }
  // Nobody may lead at this moment.
  [[nodiscard]] bool is_handing_over() const { return handing_over_.has_value(); }

  // Clusters for which this one could not decide, and why, as the others are told.
  [[nodiscard]] std::map<std::string, std::string> obstacles() const;
  [[nodiscard]] const HandOverCounts& hand_overs() const { return hand_overs_; }  // by this one

  // What the other members hear from this node, as a primary.
  [[nodiscard]] std::vector<OtherSight> sights_of(const std::string& cluster, const std::string& node) const;

 private:
  struct StandingBack {
    std::string why;
    Instant since{};
  };
  struct HandingOver {
    std::string heir;
    Instant since{};
    Answered answered;  // nothing: nobody waits for it
  };
  void hand_over(const std::string& heir, const std::string& why, std::uint64_t HandOverCounts::*reason,
                 Answered answered);
  void look_at_heir();
  void look_at_standing_back();
  void look_at_obstacles(const SuccessionView& view);
  void look_at_sights(const SuccessionView& view, bool is_heard_elsewhere);
  [[nodiscard]] SuccessionView look_around(const std::vector<LedCluster>& clusters) const;
  [[nodiscard]] PrimariesHeard heard_here() const;
  [[nodiscard]] PrimariesHeard heard_by(const SeenView& seen) const;
  [[nodiscard]] std::string why_not_now() const;
  [[nodiscard]] std::string why_not(const std::string& member) const;
  [[nodiscard]] std::vector<std::string> other_members() const;
  [[nodiscard]] std::string choose(std::string& reason) const;

  Coordination& coordination_;
  const bool moves_address_;
  const Wires wires_;
  bool is_heir_ = false;
  std::optional<Instant> handed_over_at_;  // to this one
  std::optional<HandingOver> handing_over_;
  std::optional<StandingBack> standing_back_;
  std::string why_it_still_leads_;
  std::string told_;            // why it is not handed over although another one hears more
  std::string told_of_unable_;  // why it is not handed over although this one cannot decide
  Inability inability_;
  HandOverCounts hand_overs_;
  Timer limit_;
  Timer patience_;
};

}  // namespace pgkeel
