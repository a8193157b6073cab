#include "replication/coordination/inability.h"

#include <algorithm>

namespace pgkeel {

void Inability::look(bool leads, const Obstacles& obstacles, Instant now) {
  obstacles_ = obstacles;
  const bool unable = leads && !obstacles.empty();
  const bool able = leads && obstacles.empty();
  unable_since_ = unable ? unable_since_.value_or(now) : std::optional<Instant>();
  able_since_ = able ? able_since_.value_or(now) : std::optional<Instant>();
  if (!able || now < *able_since_ + kDecidesWithin) return;
  given_up_for_.clear();
  next_pause_ = kFirstPauseOfUnable;
}

std::optional<Instant> Inability::lasts_from() const {
  if (!unable_since_) return std::nullopt;
  return *unable_since_ + kDecidesWithin;
}

void Inability::handed_over(Instant now) {
  given_up_for_ = obstacles_;
  pause_ends_ = now + next_pause_;
  next_pause_ = std::min(2 * next_pause_, kLongestPauseOfUnable);
  unable_since_.reset();
}

std::map<std::string, std::string> Inability::told(Instant now) const {
  std::map<std::string, std::string> told;
  for (const auto& [cluster, obstacle] : obstacles_) told[cluster] = obstacle.why;
  if (now >= pause_ends_) return told;
  for (const auto& [cluster, obstacle] : given_up_for_)
    told.emplace(cluster, "it led, and could not: " + obstacle.why + "; it is not asked again for " +
                              format_duration(pause_ends_ - now));
  return told;
}

}  // namespace pgkeel
