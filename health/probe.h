// Probes one node, again and again, over one kept connection. Control thread only.
//
// A probe asks on the kept connection. Where that is gone, it knocks (errors by number: refused, no answer, our own
// trouble), connects anew and asks, once. It always ends, with an Observation, within its time limit; an answer that
// has arrived by then is read first.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "health/observation.h"
#include "health/probe_query.h"
#include "health/server_access.h"
#include "proxy/io/knock.h"
#include "proxy/io/pg_connection.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Probe {
 public:
  // `before_time_limit` is called when the limit has passed, before it counts: after a stall of this process it may
  // call extend(). `on_lost`: the kept connection broke between two probes.
  Probe(Loop& loop, std::string node, ServerAccess& access, Duration time_limit, std::function<void()> on_lost,
        std::function<void()> before_time_limit);

  // Only when none is running. `done` is called later, and may begin the next one.
  void begin(std::function<void(Observation)> done);
  [[nodiscard]] bool running() const { return static_cast<bool>(done_); }

  // The application_name of its connections from now on.
  void set_session_name(const std::string& name) { session_name_ = name; }

  // Of the probes that begin from now on.
  void set_time_limit(Duration limit) { time_limit_ = limit; }

  // The next probe makes a new connection: whoever answers on the kept one may have outlived its postmaster.
  void connect_anew();

  // A running probe gets its whole time limit anew.
  void extend();

 private:
  void reach();
  void knock();
  void knocked(const Knock::Outcome& outcome);
  void connect();
  void connect_failed(const SqlError& error);
  void ask();
  void answered(const SqlRows& rows);
  void ask_failed(const SqlError& error);
  void time_is_over();
  void end(ProbeOutcome outcome, std::string detail, std::shared_ptr<const NodeFacts> facts = nullptr);

  std::string node_;
  Loop& loop_;
  ServerAccess& access_;
  Duration time_limit_;
  std::string session_name_ = "pgkeel";
  std::function<void()> before_time_limit_;
  PgConnection connection_;
  ProbeRights rights_;  // of the role on this connection, as far as we know
  Timer deadline_;

  // Of the running probe.
  std::function<void(Observation)> done_;
  Instant started_at_;
  bool looking_up_ = false;
  std::unique_ptr<Knock> knock_;
  std::string connect_error_;  // without an SQLSTATE: a second knock tells what it was
  bool connected_anew_ = false;
  bool kept_is_doubtful_ = false;  // connect_anew() was called while it ran
  int questions_ = 0;
  bool input_read_ = false;  // since the limit passed
};

}  // namespace pgkeel
