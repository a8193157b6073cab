// Where connecting clients of one worker and cluster are held: while there is no route, while its server does not
// answer, and until it is their turn at login_rate. Loop's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "proxy/io/timer.h"
#include "proxy/routing/login_gate.h"

namespace pgkeel {

class Loop;
class Session;
struct SessionCounters;

class WaitingRoom {
 public:
  WaitingRoom(Loop& loop, LoginGate& gate, SessionCounters& counters);

  // The session's connect_to_server() is called at its turn, maybe before this returns.
  void enter(Session& session);
  void leave(Session& session);  // it waits, or its attempt is under way, no longer

  // How the login attempt of a session that was let through went. A server that failed one attempt is tried by one
  // session at a time, until it answers.
  void attempt_answered(Session& session);
  void attempt_failed(Session& session);  // enter() it again

  // Changes of the route are told in two steps: nobody is let through while sessions of the old one are ended.
  void close_doors() { doors_closed_ = true; }
  // `soon`: nobody is let through now, but that is planned, and will be over soon.
  void open_doors(bool route_leads_somewhere, bool soon);

 private:
  void let_through();
  void count_wait(LoginGate::Ticket ticket);
  // The wait does not count against hold_timeout.
  [[nodiscard]] bool in_login_queue() const { return (has_route_ && !server_down_) || opens_soon_; }

  Loop& loop_;
  LoginGate& gate_;
  SessionCounters& counters_;
  Timer timer_;
  std::map<LoginGate::Ticket, Session*> waiting_;
  std::map<LoginGate::Ticket, Instant> waits_since_;  // those that were not let through at once
  std::set<LoginGate::Ticket> waited_for_route_;      // and still do, or for their turn
  bool doors_closed_ = false;
  bool letting_through_ = false;
  bool has_route_ = false;
  bool opens_soon_ = false;
  bool server_down_ = false;   // the last attempt failed
  Instant next_attempt_at_{};  // while it is down
  const Session* scout_ = nullptr;
  bool queue_was_told_ = false;  // what the waiting sessions believe of in_login_queue()
};

}  // namespace pgkeel
