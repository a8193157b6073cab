#include "replication/execute/sync_actions.h"

#include <memory>
#include <utility>
#include <vector>

#include "proxy/io/conninfo.h"
#include "proxy/io/timer.h"
#include "replication/execute/commit_proof.h"
#include "replication/execute/sql_text.h"
#include "replication/model/nowhere.h"
#include "replication/sync/standby_names.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kReloadWatch = 10ms;     // between looks at what a reload brings
constexpr Duration kReloadWatchLimit = 5s;  // … this long at most
constexpr int kLooksAfterItsEnd = 2;        // that show no walreceiver, before one counts as cut off
constexpr int kLooksWithoutOne = 5;

// Looks at a node again and again. It may outlive those who asked for it.
class Watching {
 public:
  explicit Watching(const SqlConversation& conversation)
      : conversation_(conversation), began_(conversation.clock()), timer_(conversation_.loop, [this] { due(); }) {}

  // Whoever looks is kept alive by it meanwhile: only the timer knows of the conversation then.
  void again(std::function<void()> look) {
    look_ = std::move(look);
    timer_.start_once(kReloadWatch);
  }
  [[nodiscard]] bool too_long() const { return conversation_.clock() - began_ > kReloadWatchLimit; }

 private:
  void due() {
    const auto look = std::exchange(look_, nullptr);
    if (!conversation_.wanted.expired()) look();
  }

  SqlConversation conversation_;
  Instant began_;
  Timer timer_;
  std::function<void()> look_;
};

class SettingStandbyNames : public std::enable_shared_from_this<SettingStandbyNames> {
 public:
  SettingStandbyNames(SqlConversation conversation, Action action, ActionDone done)
      : conversation_(std::move(conversation)),
        action_(std::move(action)),
        done_(std::move(done)),
        watching_(conversation_) {}

  // That a walsender waits for one standby only, by an older setting, is not to be seen: so it is made to show first
  // that it has read a newer one.
  void begin() {
    const SyncQuorum quorum = parse_standby_names(action_.standby_names).value_or(SyncQuorum{});
    by_priority_ = quorum.acks > 1;
    set(by_priority_ ? standby_names_text_by_priority(quorum) : action_.standby_names);
  }

 private:
  using Step = void (*)(SettingStandbyNames&, const SqlRows&);

  void ask(const std::string& sql, Step next) {
    conversation_.line.run_sql(action_.node, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), next](const SqlResult& answer) {
                                 if (!answer) return self->finish(Error{describe(answer.error())});
                                 next(*self, *answer);
                               });
  }

  // ALTER SYSTEM must be a statement of its own.
  void set(std::string text) {
    text_ = std::move(text);
    ask("ALTER SYSTEM SET synchronous_standby_names = " + quote_literal(text_), [](SettingStandbyNames& self,
                                                                                   const SqlRows&) {
      self.ask("SELECT pg_catalog.pg_reload_conf()", [](SettingStandbyNames& again, const SqlRows&) { again.look(); });
    });
  }

  [[nodiscard]] std::vector<std::string> members() const {
    return parse_standby_names(action_.standby_names).value_or(SyncQuorum{}).members;
  }

  [[nodiscard]] std::vector<std::string> nodes() const {
    std::vector<std::string> names;
    for (const auto& node : conversation_.cluster.nodes) names.push_back(node.name);
    return names;
  }

  static std::string array_of(const std::vector<std::string>& names) {
    std::string listed;
    for (const auto& name : names) listed += (listed.empty() ? "" : ",") + name;
    return quote_literal("{" + listed + "}") + "::text[]";
  }

  // Each walsender takes the setting over by itself; until the last one has, one of them may acknowledge by the old
  // one. Which one it acts by is not to be seen of one that has not been told of any flush.
  void look() {
    ask("SELECT pg_catalog.current_setting('synchronous_standby_names'), "
        "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE CASE WHEN application_name = ANY (" +
            array_of(members()) + ") THEN " +
            (by_priority_ ? "sync_priority < 2 " : "state = 'streaming' AND sync_priority <> 1 ") +
            "ELSE sync_state <> 'async' OR (flush_lsn IS NULL AND application_name = ANY (" + array_of(nodes()) +
            ")) END)",
        [](SettingStandbyNames& self, const SqlRows& rows) { self.judge(rows); });
  }

  void judge(const SqlRows& rows) {
    const std::string shown = cell(rows, 0);
    if (shown != text_ || cell(rows, 1) != "0") {
      if (!watching_.too_long()) return watching_.again([self = shared_from_this()] { self->look(); });
      return finish(Error{shown != text_ ? tell_not_taken_over(shown, text_)
                                         : "the walsenders do not take synchronous_standby_names over"});
    }
    if (std::exchange(by_priority_, false)) return set(action_.standby_names);
    if (action_.standby_names.empty()) return finish({});
    see_commits_wait(conversation_, action_.node, action_.standby_names,
                     [self = shared_from_this()](const Result<void>& seen) {
                       if (!seen) return self->finish(Error{"commits do not wait yet: " + seen.error().message});
                       self->mark();
                     });
  }

  // Whoever did not wait wrote its commit record before ours.
  void mark() {
    ask(kOwnWrite, [](SettingStandbyNames& self, const SqlRows&) {
      self.ask("SELECT pg_catalog.pg_current_wal_flush_lsn()", [](SettingStandbyNames& again, const SqlRows& found) {
        const auto position = parse_lsn(cell(found, 0));
        if (!position) return again.finish(Error{"the position of the WAL cannot be read"});
        again.waited_from_ = *position;
        again.finish({});
      });
    });
  }

  void finish(const Result<void>& result) {
    const std::string& names = action_.standby_names;
    ActionStatus status = sql_outcome(action_, result.has_value(),
                                      !result         ? result.error().message
                                      : names.empty() ? "commits wait for no standby"
                                                      : "commits wait for " + names);
    status.waited_from = waited_from_;
    done_(std::move(status));
  }

  SqlConversation conversation_;
  Action action_;
  ActionDone done_;
  Watching watching_;
  std::string text_;          // set last
  bool by_priority_ = false;  // … and this is its kind
  std::optional<Lsn> waited_from_;
};

class CuttingOff : public std::enable_shared_from_this<CuttingOff> {
 public:
  CuttingOff(SqlConversation conversation, Action action, ActionDone done)
      : conversation_(std::move(conversation)),
        action_(std::move(action)),
        done_(std::move(done)),
        watching_(conversation_) {}

  void begin() {
    ask("SHOW primary_conninfo", [](CuttingOff& self, const SqlRows& rows) {
      auto settings = parse_conninfo(cell(rows, 0));
      if (!settings) return self.finish(Error{"primary_conninfo cannot be read: " + settings.error().message});
      settings->erase("hostaddr");
      (*settings)["host"] = kNowhere;
      self.ask("ALTER SYSTEM SET primary_conninfo = " + quote_literal(format_conninfo(*settings)),
               [](CuttingOff& again, const SqlRows&) {
                 again.ask("SELECT pg_catalog.pg_reload_conf()", [](CuttingOff& last, const SqlRows&) { last.look(); });
               });
    });
  }

 private:
  using Step = void (*)(CuttingOff&, const SqlRows&);

  void ask(const std::string& sql, Step next) {
    conversation_.line.run_sql(action_.node, sql, kSqlAnswerLimit,
                               [self = shared_from_this(), next](const SqlResult& answer) {
                                 if (!answer) return self->finish(Error{describe(answer.error())});
                                 next(*self, *answer);
                               });
  }

  // One that is starting is one that gets nowhere. Again and again: the startup process may not have taken the setting
  // over at the first look. One that was there, and has ended, shows that it has, earlier than one that never was
  // there.
  void look() {
    ask("SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_wal_receiver WHERE status <> 'starting'), "
        "pg_catalog.pg_is_in_recovery()",
        [](CuttingOff& self, const SqlRows& rows) {
          if (cell(rows, 1) != "t") return self.finish(Error{"it is not a standby any more"});
          const bool is_quiet = cell(rows, 0) == "0";
          self.has_received_ |= !is_quiet;
          self.quiet_looks_ = is_quiet ? self.quiet_looks_ + 1 : 0;
          if (self.quiet_looks_ == (self.has_received_ ? kLooksAfterItsEnd : kLooksWithoutOne)) return self.finish({});
          if (self.watching_.too_long()) return self.finish(Error{"its walreceiver does not end"});
          self.watching_.again([again = self.shared_from_this()] { again->look(); });
        });
  }

  void finish(const Result<void>& result) {
    done_(sql_outcome(action_, result.has_value(), result ? "it receives no WAL any more" : result.error().message));
  }

  SqlConversation conversation_;
  Action action_;
  ActionDone done_;
  Watching watching_;
  int quiet_looks_ = 0;
  bool has_received_ = false;
};

}  // namespace

void set_standby_names(const SqlConversation& conversation, const Action& action, ActionDone done) {
  std::make_shared<SettingStandbyNames>(conversation, action, std::move(done))->begin();
}

void cut_off(const SqlConversation& conversation, const Action& action, ActionDone done) {
  std::make_shared<CuttingOff>(conversation, action, std::move(done))->begin();
}

}  // namespace pgkeel
