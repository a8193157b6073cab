#include "proxy/session/unproven_logins.h"

#include <algorithm>

#include "proxy/session/session.h"

namespace pgkeel {

UnprovenLogins::Place UnprovenLogins::add(Session& session, Instant now) {
  const std::uint32_t most = std::max(kLoginsMin, clients_max_ / kPartOfClients);
  if (of_all_workers_.fetch_add(1, std::memory_order_relaxed) >= most) end_longest_silent(now);
  return logins_.insert(logins_.end(), {&session, now});
}

void UnprovenLogins::remove(Place place) {
  of_all_workers_.fetch_sub(1, std::memory_order_relaxed);
  logins_.erase(place);
}

bool UnprovenLogins::end_longest_silent(Instant now) {
  if (logins_.empty() || now - logins_.front().since < kPatience) return false;
  logins_.front().session->give_up_login();  // which leaves the list
  return true;
}

}  // namespace pgkeel
