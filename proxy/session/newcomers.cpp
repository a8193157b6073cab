#include "proxy/session/newcomers.h"

#include "proxy/session/session.h"

namespace pgkeel {

void Newcomers::make_room(Instant now) {
  // Each leaves the list, in one way or the other.
  while (!newcomers_.empty() && now - newcomers_.front().since > kPatience) newcomers_.front().session->give_way();
}

}  // namespace pgkeel
