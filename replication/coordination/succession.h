// To whom a leader hands over that does not hear from a primary while another member does, or that cannot decide. Pure:
// no I/O, no clock, no log. One leader decides for all clusters, so the one that follows it must see every primary that
// it sees itself, and say of no cluster that it cannot decide for it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "proxy/base/time.h"
#include "replication/coordination/inability.h"

namespace pgkeel {

// Whose primaries a member hears from, by cluster; one that is not in it: it does not.
using PrimariesHeard = std::map<std::string, bool>;

struct SuccessionView {
  PrimariesHeard own;                            // of the leader, every cluster
  std::map<std::string, PrimariesHeard> others;  // of each other member that may lead and has answered of late
  std::map<std::string, std::string> under_way;  // clusters in which something is, and what
  std::optional<Instant> handed_over_at;         // when the leadership was handed over to this one
  Obstacles obstacles;                           // that keep the leader from deciding
  std::map<std::string, std::string> unable;     // which of the others say that they cannot either: a clause on each
  // Likewise, those that do not hear from a server to which the leader's orders do not get.
  std::map<std::string, std::string> out_of_reach;
};

struct Succession {
  std::string heir;     // empty: it stays
  std::string cluster;  // for whose sake: the heir hears from its primary, or can decide for it, and this one does not
  std::string why_not;  // it stays although that is wanted: one clause
  Instant again_at = Instant::max();
};

// Between two hand-overs for what is seen: paths that come and go must not pass it to and fro.
inline constexpr Duration kHandOverPause = std::chrono::minutes(1);

Succession decide_succession(const SuccessionView& view, Instant now);

// Of a leader that has been unable to decide for long. What is under way in a cluster for which it cannot decide does
// not keep it: the one that follows goes on with that.
Succession decide_succession_of_unable(const SuccessionView& view);

// Clusters whose primary `from` hears, and `to` does not; "a, b". Empty: none.
std::string not_heard_by(const PrimariesHeard& from, const PrimariesHeard& to);

}  // namespace pgkeel
