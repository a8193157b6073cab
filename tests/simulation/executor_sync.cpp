// The actions of synchronous replication, as replication/execute/sync_actions.cpp carries them out on real servers.
#include <memory>

#include "tests/simulation/executor.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kWatch = 10ms;
constexpr int kMostLooks = 100;
constexpr int kMostLooksAtWalReceiver = 50;
constexpr int kLooksAfterItsEnd = 2;  // that show no walreceiver, before one counts as cut off
constexpr int kLooksWithoutOne = 5;
}  // namespace

void Executor::set_standby_names(const Action& action, const Done& done) {
  const Quorum quorum = quorum_of(action.standby_names);
  if (quorum.acks < 2 || world_.mutant == Mutant::kAcksNotProven) return set_and_look(action, quorum, done);
  Quorum by_priority = quorum;
  by_priority.by_priority = true;
  set_and_look(action, by_priority, [=, this](const ActionStatus& outcome) {
    if (!outcome.succeeded) return done(outcome);
    set_and_look(action, quorum, done);
  });
}

void Executor::set_and_look(const Action& action, const Quorum& names, const Done& done) {
  const std::size_t node = server(action.node).number;
  sql(
      node, [names](Server& there) { there.sync.alter_system(names); },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        sql(
            node, [](Server& there) { there.sync.reload(); },
            [=, this](bool reloaded) {
              if (!reloaded) return done(failed(action, "no answer"));
              look_at_walsenders(action, names, done, kMostLooks);
            });
      });
}

// Each walsender takes the setting over by itself.
void Executor::look_at_walsenders(const Action& action, const Quorum& names, const Done& done, int looks_left) {
  const auto taken_over = std::make_shared<bool>(false);
  sql(
      server(action.node).number,
      [taken_over, names](Server& there) {
        *taken_over = there.sync.shown().same_value(names) && there.sync.senders_take(names);
      },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        if (*taken_over && (!names.waits() || names.by_priority)) return done(succeeded(action));
        if (*taken_over && world_.mutant == Mutant::kFlagNotAwaited) return mark_position(action, done);
        if (*taken_over) {
          const auto mark = [=, this](const ActionStatus& seen) {
            seen.succeeded ? mark_position(action, done) : done(seen);
          };
          return see_commits_wait(action, mark, kMostLooks);
        }
        if (looks_left == 0) return done(failed(action, "the walsenders do not take it over"));
        job(kWatch, [=, this] { look_at_walsenders(action, names, done, looks_left - 1); });
      });
}

void Executor::mark_position(const Action& action, const Done& done) {
  const auto position = std::make_shared<std::optional<Lsn>>();
  sql(
      server(action.node).number,
      [position](Server& there) {
        if (!there.writable()) return;
        there.write();
        *position = there.wal.end();
      },
      [=](bool well) {
        if (!well || !*position) return done(failed(action, "no answer"));
        ActionStatus outcome = succeeded(action);
        outcome.waited_from = **position;
        done(outcome);
      });
}

void Executor::cut_off(const Action& action, const Done& done) {
  const std::size_t node = server(action.node).number;
  if (world_.mutant == Mutant::kNotCutOff) {
    return sql(
        node, [](Server& there) { there.streaming = false; },
        [=](bool well) { done(well ? succeeded(action) : failed(action, "no answer")); });
  }
  sql(
      node,
      [](Server& there) {
        if (there.standby_signal) there.upstream_file = there.number;
      },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        sql(
            node, [](Server& there) { there.read_conninfo_later(); },
            [=, this](bool reloaded) {
              if (!reloaded) return done(failed(action, "no answer"));
              look_at_walreceiver(action, done, {.left = kMostLooksAtWalReceiver});
            });
      });
}

void Executor::look_at_walreceiver(const Action& action, const Done& done, LooksAtWalReceiver looks) {
  struct Seen {
    bool standby = false;
    bool quiet = false;
  };
  const auto seen = std::make_shared<Seen>();
  sql(
      server(action.node).number,
      [seen](Server& there) { *seen = {.standby = there.standby_signal, .quiet = !there.streaming}; },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        if (!seen->standby) return done(failed(action, "it is not a standby any more"));
        LooksAtWalReceiver next = looks;
        next.left -= 1;
        next.quiet = seen->quiet ? looks.quiet + 1 : 0;
        next.has_received |= !seen->quiet;
        if (next.quiet == (next.has_received ? kLooksAfterItsEnd : kLooksWithoutOne)) {
          checkers_.durability.cut_off(action.node);
          return done(succeeded(action));
        }
        if (looks.left == 0) return done(failed(action, "its walreceiver does not end"));
        job(kWatch, [=, this] { look_at_walreceiver(action, done, next); });
      });
}

void Executor::promote(const Action& action, const Done& done) {
  checkers_.promotion_sent(action);
  const std::size_t node = server(action.node).number;
  if (world_.mutant == Mutant::kPromoteTwice) {
    for (auto& other : world_.servers) {
      if (other.number != node) other.begin_promotion();
    }
  }
  const Quorum names = quorum_of(action.standby_names);
  const auto is_wrong = std::make_shared<bool>(false);
  sql(
      node,
      [names, is_wrong, anyway = action.sets_names_anyway, must_wait = action.commits_must_wait](Server& there) {
        const Quorum& shown = there.sync.shown();
        const bool differs = !shown.same_value(names);
        *is_wrong =
            there.standby_signal ? anyway || differs : shown.members == Quorum::kNobody || (must_wait && differs);
      },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        if (!*is_wrong || world_.mutant == Mutant::kCandidateNamesForgotten) return send_promotion(action, done);
        sql(
            node, [names](Server& there) { there.sync.alter_system(names); },
            [=, this](bool altered) {
              if (!altered) return done(failed(action, "no answer"));
              sql(
                  node, [](Server& there) { there.sync.reload(); },
                  [=, this](bool reloaded) {
                    if (!reloaded) return done(failed(action, "no answer"));
                    send_promotion(action, done);
                  });
            });
      });
}

void Executor::send_promotion(const Action& action, const Done& done) {
  const std::size_t node = server(action.node).number;
  sql(
      node,
      [this, action](Server& there) {
        if (!there.standby_signal) return;  // it is primary already
        checkers_.candidate_is_told(there, quorum_of(action.standby_names));
        there.promoted_by_hand = false;
        there.begin_promotion();
      },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        const auto reachable = [=, this] { return world_.connected(world_.pgkeel(), node); };
        wait_until([=, this] { return reachable() && world_.servers[node].writable(); },
                   [=, this] { return reachable() && world_.servers[node].state != ProcessState::kRunning; },
                   world_.queue.now() + 10s,
                   [=, this](bool writes) {
                     if (!writes) return done(failed(action, "it does not take writes"));
                     const bool proves = action.commits_must_wait && world_.mutant != Mutant::kWaitingNotProven;
                     proves ? see_commits_wait(action, done, kMostLooks) : done(succeeded(action));
                   });
      });
}

// A write that is not acknowledged while a session shows the setting; else the checkpointer is made to read its
// settings, and another look must find both.
void Executor::see_commits_wait(const Action& action, const Done& done, int looks_left) {
  const std::size_t node = server(action.node).number;
  const auto waits = std::make_shared<bool>(false);
  sql(
      node,
      [waits, names = quorum_of(action.standby_names)](Server& there) {
        if (!there.writable()) return;
        there.write();
        *waits = there.sync.commits_wait() && there.sync.shown().same_value(names);
      },
      [=, this](bool well) {
        if (!well) return done(failed(action, "no answer"));
        if (*waits) return done(succeeded(action));
        if (looks_left < 0) return done(failed(action, "commits return although a checkpoint was written"));
        if (looks_left > 0) return job(kWatch, [=, this] { see_commits_wait(action, done, looks_left - 1); });
        job(world_.random.between(5ms, 800ms), [=, this] {
          lines_[node].checkpoint([](Server& there) { there.sync.checkpoint(); },
                                  [=, this](bool read) {
                                    if (!read) return done(failed(action, "no answer"));
                                    see_commits_wait(action, done, -1);
                                  });
        });
      });
}

}  // namespace pgkeel::simulation
