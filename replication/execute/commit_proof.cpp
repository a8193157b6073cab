#include "replication/execute/commit_proof.h"

#include <memory>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/timer.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kCloseWatch = 3ms;       // between looks at the commit that shall wait
constexpr Duration kPatientWatch = 20ms;    // … while a checkpoint is written
constexpr Duration kCloseWatchFor = 1s;     // then a CHECKPOINT is needed
constexpr Duration kWriteLimit = 10s;       // the disk may be busy
constexpr const char* kCanceled = "57014";  // by ourselves, before it was about to wait

// Its text tells it from whatever else waits.
constexpr const char* kAwaitedWrite =
    "BEGIN READ WRITE; SET LOCAL synchronous_commit = on; "
    "SELECT pg_catalog.pg_logical_emit_message(true, 'pgkeel', 'do commits wait?'); COMMIT";

// Writes on the session of orders, and looks on the one for clients: both are there already.
class CommitProof : public std::enable_shared_from_this<CommitProof> {
 public:
  CommitProof(SqlConversation conversation, std::string node, std::string standby_names,
              std::function<void(const Result<void>&)> done)
      : conversation_(std::move(conversation)),
        node_(std::move(node)),
        standby_names_(std::move(standby_names)),
        done_(std::move(done)),
        close_since_(conversation_.clock()),
        watch_(conversation_.loop, [this] { look_again(); }) {}

  void begin() {
    write();
    look();
  }

 private:
  enum class Checkpoint { kNone, kRuns, kWritten };

  // The next one follows at once: where a standby acknowledges soon, each waits for a moment only.
  void write() {
    writes_ = true;
    conversation_.line.run_sql(node_, kAwaitedWrite, kWriteLimit, [proof = weak_from_this()](const SqlResult& answer) {
      if (const auto self = proof.lock()) self->written(answer);
    });
  }

  void written(const SqlResult& answer) {
    writes_ = false;
    if (is_over_) return;
    if (seen_) return finish({});
    if (!answer && answer.error().sqlstate != kCanceled) return finish(Error{describe(answer.error())});
    write();
  }

  void look() {
    const std::string sql =
        "SELECT pg_catalog.current_setting('synchronous_standby_names'), "
        "(SELECT pg_catalog.count(pg_catalog.pg_cancel_backend(pid)) FROM pg_catalog.pg_stat_activity "
        "WHERE wait_event = 'SyncRep' AND usename = SESSION_USER AND query = " +
        quote_literal(kAwaitedWrite) +
        "), (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))";
    conversation_.monitor.run_sql_for_clients(node_, sql, kSqlAnswerLimit,
                                              [self = shared_from_this()](const SqlResult& answer) {
                                                if (self->is_over_) return;
                                                if (!answer) return self->finish(Error{describe(answer.error())});
                                                self->judge(*answer);
                                              });
  }

  void judge(const SqlRows& rows) {
    const std::string shown = cell(rows, 0);
    const bool waits = cell(rows, 1) != "0" || (checkpoint_ == Checkpoint::kWritten && cell(rows, 2) != "0");
    seen_ |= shown == standby_names_ && waits;
    // The session of orders is free again when its write has ended, which the next look cancels where it waits.
    if (seen_ && !writes_) return finish({});
    if (!seen_ && conversation_.clock() - close_since_ >= kCloseWatchFor) {
      if (shown != standby_names_) return finish(Error{tell_not_taken_over(shown, standby_names_)});
      if (checkpoint_ == Checkpoint::kWritten)
        return finish(Error{"they return at once, although a checkpoint was written since it was set"});
      if (checkpoint_ == Checkpoint::kNone) write_checkpoint();
    }
    keep_alive_ = shared_from_this();  // the timer alone would not keep this conversation
    watch_.start_once(checkpoint_ == Checkpoint::kRuns ? kPatientWatch : kCloseWatch);
  }

  // Between two looks only the timer knows of this conversation. It may outlive those who asked for it.
  void look_again() {
    const auto self = std::exchange(keep_alive_, nullptr);
    if (!is_over_ && !conversation_.wanted.expired()) look();
  }

  // The checkpointer looks at its settings before each checkpoint.
  void write_checkpoint() {
    checkpoint_ = Checkpoint::kRuns;
    conversation_.line.checkpoint(node_, kCheckpointLimit, [proof = weak_from_this()](const SqlResult& answer) {
      const auto self = proof.lock();
      if (!self || self->is_over_) return;
      if (!answer) return self->finish(Error{"no checkpoint can be written: " + describe(answer.error())});
      self->checkpoint_ = Checkpoint::kWritten;
      self->close_since_ = self->conversation_.clock();
    });
  }

  void finish(const Result<void>& seen) {
    is_over_ = true;
    std::exchange(done_, nullptr)(seen);
  }

  SqlConversation conversation_;
  const std::string node_;
  const std::string standby_names_;
  std::function<void(const Result<void>&)> done_;
  Instant close_since_;
  Timer watch_;
  Checkpoint checkpoint_ = Checkpoint::kNone;
  bool writes_ = false;
  bool seen_ = false;
  bool is_over_ = false;
  std::shared_ptr<CommitProof> keep_alive_;
};

}  // namespace

void see_commits_wait(const SqlConversation& conversation, const std::string& node, const std::string& standby_names,
                      std::function<void(const Result<void>& seen)> done) {
  std::make_shared<CommitProof>(conversation, node, standby_names, std::move(done))->begin();
}

std::string tell_not_taken_over(const std::string& shown, const std::string& wanted) {
  return "synchronous_standby_names is " + quote_literal(shown) + " there, although " + quote_literal(wanted) +
         " was set: a mistake in its configuration files keeps the server from reading them (its log and "
         "pg_file_settings tell), or its command line overrides them";
}

}  // namespace pgkeel
