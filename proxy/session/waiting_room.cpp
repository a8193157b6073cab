#include "proxy/session/waiting_room.h"

#include "proxy/io/loop.h"
#include "proxy/session/session.h"
#include "proxy/session/session_counters.h"

namespace pgkeel {
namespace {

constexpr Duration kAttemptPause = std::chrono::milliseconds(100);
constexpr Duration kGatePause = std::chrono::milliseconds(2);

}  // namespace

WaitingRoom::WaitingRoom(Loop& loop, LoginGate& gate, Counter& held, Counter& released)
    : loop_(loop), gate_(gate), held_(held), released_(released), timer_(loop, [this] { let_through(); }) {}

void WaitingRoom::enter(Session& session) {
  if (session.ticket() == 0) {
    session.set_ticket(gate_.enter());
  } else {
    gate_.enter(session.ticket());
  }
  waiting_.emplace(session.ticket(), &session);
  held_.add();
  session.wait_counts_as_hold(!in_login_queue());
  let_through();
}

void WaitingRoom::leave(Session& session) {
  if (waiting_.erase(session.ticket()) > 0) {
    gate_.leave(session.ticket());
    held_.subtract();
    waited_for_route_.erase(session.ticket());
  }
  if (scout_ != &session) return;
  scout_ = nullptr;
  timer_.start_once(kAttemptPause);
}

void WaitingRoom::attempt_answered(Session& session) {
  if (scout_ == &session) scout_ = nullptr;
  if (!server_down_) return;
  server_down_ = false;
  let_through();
}

void WaitingRoom::attempt_failed(Session& session) {
  if (scout_ == &session) scout_ = nullptr;
  server_down_ = true;
  next_attempt_at_ = loop_.now() + kAttemptPause;
  timer_.start_once(kAttemptPause);
}

void WaitingRoom::open_doors(bool route_leads_somewhere, bool soon) {
  doors_closed_ = false;
  opens_soon_ = soon;
  has_route_ = route_leads_somewhere;
  server_down_ = false;
  scout_ = nullptr;
  waited_for_route_.clear();
  if (has_route_) {
    for (const auto& [ticket, session] : waiting_) waited_for_route_.insert(ticket);
  }
  let_through();
}

void WaitingRoom::let_through() {
  if (letting_through_ || doors_closed_) return;
  letting_through_ = true;
  while (has_route_ && !waiting_.empty()) {
    const auto [ticket, session] = *waiting_.begin();
    if (server_down_) {
      if (scout_ != nullptr || loop_.now() < next_attempt_at_) break;
      scout_ = session;
      gate_.leave(ticket);
    } else if (!gate_.try_pass(ticket, loop_.now())) {
      timer_.start_once(kGatePause);
      break;
    }
    waiting_.erase(waiting_.begin());
    held_.subtract();
    if (waited_for_route_.erase(ticket) > 0) released_.add();
    session->connect_to_server();
  }
  letting_through_ = false;
  if (in_login_queue() == queue_was_told_) return;
  queue_was_told_ = in_login_queue();
  for (const auto& [ticket, session] : waiting_) session->wait_counts_as_hold(!queue_was_told_);
}

}  // namespace pgkeel
