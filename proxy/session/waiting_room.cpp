#include "proxy/session/waiting_room.h"

#include "proxy/io/loop.h"
#include "proxy/session/session.h"
#include "proxy/session/session_counters.h"

namespace pgkeel {
namespace {

constexpr Duration kAttemptPause = std::chrono::milliseconds(100);
constexpr Duration kGatePause = std::chrono::milliseconds(2);

}  // namespace

WaitingRoom::WaitingRoom(Loop& loop, LoginGate& gate, SessionCounters& counters)
    : loop_(loop), gate_(gate), counters_(counters), timer_(loop, [this] { let_through(); }) {}

void WaitingRoom::enter(Session& session) {
  if (session.ticket() == 0) {
    session.set_ticket(gate_.enter());
  } else {
    gate_.enter(session.ticket());
  }
  waiting_.emplace(session.ticket(), &session);
  counters_.held.add();
  session.wait_counts_as_hold(!in_login_queue());
  const auto ticket = session.ticket();
  let_through();
  if (waiting_.contains(ticket)) waits_since_.emplace(ticket, loop_.now());
}

void WaitingRoom::count_wait(LoginGate::Ticket ticket) {
  const auto wait = waits_since_.find(ticket);
  if (wait == waits_since_.end()) return;
  counters_.waited(loop_.now() - wait->second);
  waits_since_.erase(wait);
}

void WaitingRoom::leave(Session& session) {
  if (waiting_.erase(session.ticket()) > 0) {
    gate_.leave(session.ticket());
    counters_.held.subtract();
    count_wait(session.ticket());
    waited_for_route_.erase(session.ticket());
  }
  gate_.settle(session.ticket());
  if (scout_ != &session) return;
  scout_ = nullptr;
  timer_.start_once(kAttemptPause);
}

void WaitingRoom::attempt_answered(Session& session) {
  gate_.settle(session.ticket());
  if (scout_ == &session) scout_ = nullptr;
  if (!server_down_) return;
  server_down_ = false;
  let_through();
}

void WaitingRoom::attempt_failed(Session& session) {
  gate_.settle(session.ticket());
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
    counters_.held.subtract();
    count_wait(ticket);
    if (waited_for_route_.erase(ticket) > 0) counters_.released.add();
    session->connect_to_server();
  }
  letting_through_ = false;
  if (in_login_queue() == queue_was_told_) return;
  queue_was_told_ = in_login_queue();
  for (const auto& [ticket, session] : waiting_) session->wait_counts_as_hold(!queue_was_told_);
}

}  // namespace pgkeel
