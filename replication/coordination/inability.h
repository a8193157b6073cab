// Whether this member, which leads, has been unable to decide for so long that another one should lead, and what it
// tells the others of that, so that the leadership does not go round among members that all cannot. Pure: no I/O, no
// clock.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "proxy/base/time.h"

namespace pgkeel {

// What keeps a pgkeel from deciding for a cluster.
struct Obstacle {
  std::string why;   // one clause
  std::string node;  // the server that its orders do not get to; empty: it is none of the servers

  friend bool operator==(const Obstacle&, const Obstacle&) = default;
};

using Obstacles = std::map<std::string, Obstacle>;  // by cluster

// Longer than whatever ends by itself: sessions that are told to end, a write that etcd's next leader carries out.
inline constexpr Duration kDecidesWithin = std::chrono::seconds(10);
// For so long nobody hands the leadership to one that has just given it up for this; twice as long each time, until it
// leads and can decide.
inline constexpr Duration kFirstPauseOfUnable = std::chrono::minutes(1);
inline constexpr Duration kLongestPauseOfUnable = std::chrono::hours(1);

class Inability {
 public:
  // What is in the way now, whether it leads or not.
  void look(bool leads, const Obstacles& obstacles, Instant now);

  // It leads, and something has been in the way all the time until kDecidesWithin is over; nothing: nothing is.
  [[nodiscard]] std::optional<Instant> lasts_from() const;

  // The leadership is given up, for what is in the way now.
  void handed_over(Instant now);

  // What the others are told, by cluster: what is in the way, and what was when it gave the leadership up for that,
  // until its pause is over.
  [[nodiscard]] std::map<std::string, std::string> told(Instant now) const;

 private:
  Obstacles obstacles_;
  std::optional<Instant> unable_since_;  // and it leads
  std::optional<Instant> able_since_;    // and it leads
  Obstacles given_up_for_;
  Instant pause_ends_{};
  Duration next_pause_ = kFirstPauseOfUnable;
};

}  // namespace pgkeel
