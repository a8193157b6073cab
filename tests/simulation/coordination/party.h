// Several simulated pgkeels that agree through a simulated etcd: their processes, clocks, links and faults, and the
// checker: never do two of them let clients through in different epochs. Tests only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication/coordination/membership.h"
#include "tests/simulation/coordination/etcd.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/random.h"

namespace pgkeel::simulation {

// A rule that is broken on purpose: the simulation has to find it.
enum class CoordinationMutant {
  kNone,
  kOpensWithoutWaiting,        // the next route is opened although not everybody has closed the one before
  kIgnoresDeadline,            // workers write although the deadline is over
  kCountsFromTheAnswer,        // a lease counts from when its renewal was answered
  kForgetsPromises,            // a promise does not bind who gave it
  kKnowsNothingOfEarlierLife,  // a process that starts takes nobody for one that may hold a promise of its earlier life
  kPromisesAreEternal,         // a promise is taken to hold for as long as nobody says otherwise
  kRoutesBeforeApplying,       // a route is acknowledged when it is heard of, not when the workers have it
  kOlderSessionsStay,          // a new leader orders before the sessions of those that led before have ended
  kOrdersWithoutLooking,       // whether it leads is looked at before the session for an order is there, not after
  kLeadsAfterHandOver,         // a leader that hands over goes on until it hears that another one leads
  kLeadsWhileItEnds,           // one that is being ended comes to lead although another one lives
};

struct PartyOutcome {
  std::string violation;  // empty: none
  std::uint64_t route_changes = 0;
  std::uint64_t leaders = 0;
  std::uint64_t hand_overs = 0;
  std::uint64_t orders = 0;  // to the server
  std::uint64_t events = 0;
};

struct PartyFaults {
  bool etcd_away = true;
  bool cuts = true;
  bool freezes = true;
  bool kills = true;
  bool moves = true;  // the leader moves the route now and then
  bool hand_overs = true;
  bool ends = true;  // in order, and started again
};

// `seed` decides everything.
PartyOutcome play_party(std::uint64_t seed, std::size_t members, CoordinationMutant mutant, PartyFaults faults = {});

}  // namespace pgkeel::simulation
