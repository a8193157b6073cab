// The clients of one worker that have not said yet who they are (or were turned away, and have not closed). There is
// room for few of them in the process; while that is full, those that have been silent for long go, so that silent
// connections keep nobody out. Loop's thread only.
#pragma once

#include <list>

#include "proxy/base/time.h"

namespace pgkeel {

class Session;

class Newcomers {
 public:
  // Longer than a client's packets are under way.
  static constexpr Duration kPatience = std::chrono::milliseconds(250);

  struct Newcomer {
    Session* session = nullptr;
    Instant since;
  };
  using Place = std::list<Newcomer>::iterator;

  Place add(Session& session, Instant now) { return newcomers_.insert(newcomers_.end(), {&session, now}); }
  void remove(Place place) { newcomers_.erase(place); }

  // Others wait: whoever has been silent for longer than kPatience goes. May end sessions of any cluster.
  void make_room(Instant now);

 private:
  std::list<Newcomer> newcomers_;  // oldest first
};

}  // namespace pgkeel
