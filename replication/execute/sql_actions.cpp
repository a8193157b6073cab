#include "replication/execute/sql_actions.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "config/find.h"
#include "health/monitor.h"
#include "proxy/io/conninfo.h"
#include "proxy/io/timer.h"
#include "replication/agent/upstream_access.h"
#include "replication/execute/commit_proof.h"
#include "replication/execute/sql_text.h"
#include "replication/model/slot_name.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClosePromotionWatch = 3ms;     // between looks at a node that is being promoted …
constexpr Duration kClosePromotionWatchFor = 1s;   // … this long; then
constexpr Duration kPatientPromotionWatch = 50ms;  // it has WAL to replay

// By its name without the timeline: names then sort as positions do.
const std::string kOldestWalFile =
    "(SELECT pg_catalog.min(pg_catalog.substr(name, 9)) FROM pg_catalog.pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$')";

// A server on this host finds the authority's file where we do.
bool is_local(const ClusterConfig& cluster, const std::string& node) {
  const NodeConfig* found = find_node_config(cluster, node);
  return found != nullptr && found->local.has_value();
}

const HostPort* address_of(const ClusterConfig& cluster, const std::string& node) {
  const NodeConfig* found = find_node_config(cluster, node);
  return found == nullptr ? nullptr : &found->address;
}

class Promotion : public std::enable_shared_from_this<Promotion> {
 public:
  Promotion(SqlConversation conversation, Action action, ActionDone done)
      : conversation_(std::move(conversation)),
        action_(std::move(action)),
        done_(std::move(done)),
        watch_(conversation_.loop, [this] { look_again(); }) {}

  void begin() {
    ask("SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('synchronous_standby_names'), "
        "CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
        "COALESCE(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), "
        "pg_catalog.pg_last_wal_replay_lsn()), 0) ELSE 0 END::bigint",
        [](Promotion& self, const SqlRows& rows) {
          self.bytes_to_replay_ = cell(rows, 2);
          self.is_primary_ = cell(rows, 0) == "f";
          const std::string standby_names = cell(rows, 1);
          const bool differs = standby_names != self.action_.standby_names;
          // What a primary has may be an operator's own, unless commits must wait.
          const bool is_wrong =
              self.is_primary_ ? standby_names == kFencingStandbyName || (self.action_.commits_must_wait && differs)
                               : self.action_.sets_names_anyway || differs;
          if (is_wrong) return self.set_standby_names();
          self.go_on();
        });
  }

 private:
  using Step = void (*)(Promotion&, const SqlRows&);

  void ask(const std::string& sql, Step next) {
    conversation_.line.run_sql(action_.node, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), next](const SqlResult& answer) {
                                 if (!answer) return self->finish(false, describe(answer.error()));
                                 next(*self, *answer);
                               });
  }

  // ALTER SYSTEM must be a statement of its own; it works in recovery.
  void set_standby_names() {
    ask("ALTER SYSTEM SET synchronous_standby_names = " + quote_literal(action_.standby_names),
        [](Promotion& self, const SqlRows&) {
          self.ask("SELECT pg_catalog.pg_reload_conf()", [](Promotion& again, const SqlRows&) { again.go_on(); });
        });
  }

  void go_on() {
    if (is_primary_) return write();
    send_promotion();
  }

  void send_promotion() {
    sent_at_ = conversation_.clock();
    ask("SELECT pg_catalog.pg_promote(false)", [](Promotion& self, const SqlRows&) { self.look(); });
  }

  void look() {
    ask("SELECT pg_catalog.pg_is_in_recovery()", [](Promotion& self, const SqlRows& rows) {
      if (cell(rows, 0) == "f") return self.write();
      const bool close = self.conversation_.clock() - self.sent_at_ < kClosePromotionWatchFor;
      self.keep_alive_ = self.shared_from_this();  // the timer alone would not keep this conversation
      self.watch_.start_once(close ? kClosePromotionWatch : kPatientPromotionWatch);
    });
  }

  // Between two looks only the timer knows of this conversation. It may outlive those who asked for it.
  void look_again() {
    const auto self = std::exchange(keep_alive_, nullptr);
    if (!conversation_.wanted.expired()) look();
  }

  void write() {
    ask(kOwnWrite, [](Promotion& self, const SqlRows&) {
      std::string message = "takes writes";
      if (self.sent_at_ != Instant{})
        message += ", " + format_duration(self.conversation_.clock() - self.sent_at_) + " after the promotion was sent";
      if (!self.bytes_to_replay_.empty() && self.bytes_to_replay_ != "0")
        message += ", " + self.bytes_to_replay_ + " bytes of WAL replayed first";
      if (!self.action_.commits_must_wait) return self.finish(true, std::move(message));
      self.see_that_they_wait(message);
    });
  }

  void see_that_they_wait(const std::string& message) {
    const auto look = [self = shared_from_this(), message, began = conversation_.clock()](const Result<void>& seen) {
      if (!seen) return self->finish(false, "commits do not wait for standbys yet: " + seen.error().message);
      self->finish(true, message + "; commits wait for standbys, seen " +
                             format_duration(self->conversation_.clock() - began) + " later");
    };
    see_commits_wait(conversation_, action_.node, action_.standby_names, look);
  }

  void finish(bool succeeded, std::string message) { done_(sql_outcome(action_, succeeded, std::move(message))); }

  SqlConversation conversation_;
  Action action_;
  ActionDone done_;
  Timer watch_;
  bool is_primary_ = false;  // already
  Instant sent_at_{};
  std::string bytes_to_replay_;
  std::shared_ptr<Promotion> keep_alive_;
};

class Following : public std::enable_shared_from_this<Following> {
 public:
  Following(SqlConversation conversation, Action action, ActionDone done)
      : conversation_(std::move(conversation)), action_(std::move(action)), done_(std::move(done)) {}

  void begin() {
    ask(action_.upstream, create_slot_sql(slot_of_node(action_.node)), [](Following& self, const SqlRows&) {
      self.ask(self.action_.node, "SHOW primary_conninfo",
               [](Following& again, const SqlRows& rows) { again.point(cell(rows, 0)); });
    });
  }

 private:
  using Step = void (*)(Following&, const SqlRows&);

  void ask(const std::string& node, const std::string& sql, Step next) {
    conversation_.line.run_sql(node, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), node, next](const SqlResult& answer) {
                                 if (!answer) return self->finish(false, node + ": " + describe(answer.error()));
                                 next(*self, *answer);
                               });
  }

  void point(const std::string& present_conninfo) {
    const HostPort* upstream = address_of(conversation_.cluster, action_.upstream);
    if (upstream == nullptr) return finish(false, action_.upstream + " is not configured");
    auto settings = parse_conninfo(present_conninfo);
    if (!settings) return finish(false, "primary_conninfo cannot be read: " + settings.error().message);
    settings->erase("hostaddr");
    (*settings)["host"] = upstream->host;
    (*settings)["port"] = std::to_string(upstream->port);
    (*settings)["user"] = conversation_.cluster.replication.user;
    (*settings)["application_name"] = action_.node;
    set_upstream_tls(*settings, conversation_.cluster.server_tls, is_local(conversation_.cluster, action_.node));
    settings->try_emplace("dbname", conversation_.cluster.replication.database);  // for sync_replication_slots
    ask(action_.node, "ALTER SYSTEM SET primary_conninfo = " + quote_literal(format_conninfo(*settings)),
        [](Following& self, const SqlRows&) {
          self.ask(self.action_.node,
                   "ALTER SYSTEM SET primary_slot_name = " + quote_literal(slot_of_node(self.action_.node)),
                   [](Following& again, const SqlRows&) {
                     again.ask(again.action_.node, "SELECT pg_catalog.pg_reload_conf()",
                               [](Following& last, const SqlRows&) { last.look_for_wal(); });
                   });
        });
  }

  // Whether the upstream still has the segment in which the standby would go on. Where we may not look, it has.
  void look_for_wal() {
    const auto health = conversation_.monitor.health(action_.node, conversation_.clock());
    if (!health.last_answered || !health.last_answered->facts) return finish_told();
    const NodeFacts& standby = *health.last_answered->facts;
    if (standby.wal_receiver_streaming || standby.restore_command_set || !standby.wal_position.valid())
      return finish_told();
    // The name of the file before a position that begins a segment is that of the segment before.
    const Lsn inside{standby.wal_position.value + 1};
    const std::string sql = "SELECT " + kOldestWalFile + " > pg_catalog.substr(pg_catalog.pg_walfile_name(" +
                            quote_literal(format_lsn(inside)) + "), 9)";
    conversation_.line.run_sql(action_.upstream, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), from = standby.wal_position](const SqlResult& answer) {
                                 if (answer && cell(*answer, 0) == "t") self->missing_from_ = from;
                                 self->finish_told();
                               });
  }

  void finish_told() {
    std::string message = "told to stream from " + action_.upstream;
    if (missing_from_.valid()) message += ", which no longer has the WAL from " + format_lsn(missing_from_) + " on";
    finish(true, std::move(message));
  }

  void finish(bool succeeded, std::string message) {
    ActionStatus status = sql_outcome(action_, succeeded, std::move(message));
    status.missing_from = missing_from_;
    done_(std::move(status));
  }

  SqlConversation conversation_;
  Action action_;
  ActionDone done_;
  Lsn missing_from_{};
};

}  // namespace

void promote(const SqlConversation& conversation, const Action& action, ActionDone done) {
  std::make_shared<Promotion>(conversation, action, std::move(done))->begin();
}

void follow(const SqlConversation& conversation, const Action& action, ActionDone done) {
  std::make_shared<Following>(conversation, action, std::move(done))->begin();
}

void checkpoint(const SqlConversation& conversation, const Action& action, ActionDone done) {
  conversation.line.checkpoint(
      action.node, kCheckpointLimit, [action, done = std::move(done)](const SqlResult& answer) {
        done(sql_outcome(action, answer.has_value(), answer ? "written" : describe(answer.error())));
      });
}

void fence_by_sql(const SqlConversation& conversation, const Action& action, ActionDone done) {
  const std::string end_sessions =
      "SELECT pg_catalog.pg_reload_conf(); SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM "
      "pg_catalog.pg_stat_activity "
      "WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() AND "
      // Who is no superuser may not end a superuser's session; the others are ended all the same.
      "(pg_catalog.current_setting('is_superuser') = 'on' OR NOT EXISTS "
      "(SELECT FROM pg_catalog.pg_roles WHERE oid = usesysid AND rolsuper))";
  const auto finish = [action, done](const SqlResult& set, const SqlResult& ended) {
    ActionStatus status = sql_outcome(action, set && ended, "");
    status.fence = status.succeeded ? FenceStrength::kWeak : FenceStrength::kNone;
    status.message =
        status.succeeded
            ? "weak: by SQL, its sessions were ended and its commits wait for a standby that does not exist"
            : describe(set ? ended.error() : set.error()) + (!set && ended ? "; its sessions were ended" : "");
    done(std::move(status));
  };
  OrderLine& line = conversation.line;
  line.supersede(action.node);  // a promotion that is under way, say
  line.run_sql_apart(action.node, "ALTER SYSTEM SET synchronous_standby_names = " + quote_literal(kFencingStandbyName),
                     kSqlAnswerLimit, [&line, node = action.node, end_sessions, finish](const SqlResult& set) {
                       // Where its disk is full, say, the sessions can be ended all the same.
                       const bool answers = set || !set.error().sqlstate.empty();
                       if (!answers) return finish(set, set);
                       line.run_sql_apart(node, end_sessions, kSqlAnswerLimit,
                                          [finish, set](const SqlResult& ended) { finish(set, ended); });
                     });
}

void prepare_upstream(const SqlConversation& conversation, const Action& action,
                      std::function<void(Result<std::string>)> done) {
  OrderLine& line = conversation.line;
  const std::string upstream = action.upstream;
  const auto fail = [done, upstream](const SqlError& error) { done(Error{upstream + ": " + describe(error)}); };
  const auto list_wal = [&line, upstream, done] {
    line.run_sql(upstream, "SELECT " + kOldestWalFile, kSqlAnswerLimit,
                 [done](const SqlResult& answer) { done(answer ? cell(*answer, 0) : ""); });
  };
  const auto checkpoint = [&line, upstream, list_wal, fail] {
    line.checkpoint(upstream, kCheckpointLimit, [list_wal, fail](const SqlResult& answer) {
      if (!answer) return fail(answer.error());
      list_wal();
    });
  };
  const std::string timelines =
      "SELECT timeline_id, ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, "
      "8))::bit(32)::int "
      "FROM pg_catalog.pg_control_checkpoint()";
  line.run_sql(upstream, create_slot_sql(slot_of_node(action.node)), kSqlAnswerLimit,
               [&line, upstream, timelines, list_wal, fail, checkpoint](const SqlResult& answer) {
                 if (!answer) return fail(answer.error());
                 line.run_sql(upstream, timelines, kSqlAnswerLimit,
                              [list_wal, fail, checkpoint](const SqlResult& found) {
                                if (!found) return fail(found.error());
                                if (cell(*found, 0) == cell(*found, 1)) return list_wal();
                                checkpoint();
                              });
               });
}

}  // namespace pgkeel
