#include "health/agent_evidence.h"

#include <algorithm>
#include <chrono>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSameStart = 5s;      // both uptimes are counted by the clock of one host, but not read at once
constexpr Duration kWordHolds = 2s;      // an agent that lives says something at least every second
constexpr Duration kMismatchLasts = 2s;  // the agent may not have found a postmaster yet that has just been started

}  // namespace

std::optional<AgentEvidence::Death> AgentEvidence::reported(const AgentWord& word) {
  const bool same_news = word_ && word_->postmaster.has_value() == word.postmaster.has_value() &&
                         (!word.postmaster || (word_->postmaster->pid == word.postmaster->pid &&
                                               word_->postmaster->started_at == word.postmaster->started_at));
  if (!same_news) mismatched_since_.reset();  // what did not match was something else
  word_ = word;
  if (word.postmaster) {
    if (word.postmaster->port && *word.postmaster->port != port_) {
      confirmed_.reset();
      doubt_ = "its agent handles the server on port " + std::to_string(*word.postmaster->port) + ", not this one";
    }
    if (confirmed_ &&
        (confirmed_->pid != word.postmaster->pid || confirmed_->started_at != word.postmaster->started_at))
      confirmed_.reset();
    return std::nullopt;
  }
  if (!confirmed_) return std::nullopt;
  Death death{std::min(word.ended_at.value_or(word.at), word.at),
              "the agent says: postmaster " + std::to_string(confirmed_->pid) + " has ended"};
  confirmed_.reset();
  return death;
}

void AgentEvidence::answered(const Observation& observation) {
  if (!word_) return;
  // Nothing runs, as both say: where the agent was known as this server's, no contradiction is left.
  if (observation.outcome == ProbeOutcome::kRefused && !word_->postmaster && was_confirmed_) {
    mismatched_since_.reset();
    doubt_.clear();
  }
  if (!observation.facts) return;
  const auto& postmaster = word_->postmaster;
  if (postmaster && postmaster->port && *postmaster->port != port_) return;
  if (postmaster) {
    const Duration by_agent = postmaster->uptime + (observation.finished_at - word_->at);
    const Duration difference = by_agent - observation.facts->uptime;
    if (difference <= kSameStart && difference >= -kSameStart) {
      confirmed_ = postmaster;
      was_confirmed_ = true;
      mismatched_since_.reset();
      doubt_.clear();
      return;
    }
  }
  if (observation.finished_at - word_->at >
      kWordHolds) {  // the agent is silent: the server may have been started since
    mismatched_since_.reset();
    return;
  }
  // What answered before this server was started was another one, which need not have been seen to end.
  const Duration uptime = std::max(observation.facts->uptime, Duration::zero());  // by a clock that may be set back
  const Instant started = observation.finished_at - uptime;
  mismatched_since_ = std::max(mismatched_since_.value_or(observation.finished_at), started);
  if (observation.finished_at - *mismatched_since_ < kMismatchLasts) return;
  confirmed_.reset();
  doubt_ = postmaster ? "its agent handles a server that was not started when the one that answers was"
                      : "its agent sees no server run, although this one answers";
}

}  // namespace pgkeel
