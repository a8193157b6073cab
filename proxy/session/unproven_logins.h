// The logins of one worker whose clients have been asked for a proof of who they are, and have not answered. Each holds
// a place and a backend of a server, so there is room for a part of all clients only: when that is full, or no place is
// left, the one that has been silent for longest goes. Loop's thread only; the number is that of all workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>

#include "proxy/base/time.h"

namespace pgkeel {

class Session;

class UnprovenLogins {
 public:
  // Nobody goes sooner: a client that computes many proofs at once takes its time.
  static constexpr Duration kPatience = std::chrono::seconds(2);

  struct Login {
    Session* session = nullptr;
    Instant since;
  };
  using Place = std::list<Login>::iterator;

  // `clients_max`: of all workers.
  UnprovenLogins(std::atomic<std::uint32_t>& of_all_workers, const std::uint32_t& clients_max)
      : of_all_workers_(of_all_workers), clients_max_(clients_max) {}

  // May end another session.
  Place add(Session& session, Instant now);
  void remove(Place place);

  // False: none has been silent for long enough. May end a session of any cluster.
  bool end_longest_silent(Instant now);

 private:
  static constexpr std::uint32_t kLoginsMin = 64;
  static constexpr std::uint32_t kPartOfClients = 4;

  std::atomic<std::uint32_t>& of_all_workers_;
  const std::uint32_t& clients_max_;
  std::list<Login> logins_;  // longest silent first
};

}  // namespace pgkeel
