#include "replication/execute/commit_proof.h"

#include <memory>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/timer.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kWatch = 3ms;      // between looks at the commit that shall wait
constexpr Duration kWatchLimit = 1s;  // then a CHECKPOINT is needed

// Its text tells it from whatever else waits.
constexpr const char* kAwaitedWrite =
    "BEGIN READ WRITE; SET LOCAL synchronous_commit = on; "
    "SELECT pg_catalog.pg_logical_emit_message(true, 'pgkeel', 'do commits wait?'); COMMIT";

class CommitProof : public std::enable_shared_from_this<CommitProof> {
 public:
  CommitProof(SqlConversation conversation, std::string node, std::function<void(const Result<void>&)> done)
      : conversation_(std::move(conversation)),
        node_(std::move(node)),
        done_(std::move(done)),
        began_(conversation_.clock()),
        watch_(conversation_.loop, [this] { look_again(); }) {}

  void begin() {
    write();
    look();
  }

 private:
  // Whoever looks finds it while it waits. One that was not seen to wait is written again.
  void write() {
    writes_ = true;
    conversation_.line.run_sql_apart(node_, kAwaitedWrite, kSqlAnswerLimit, [self = weak_from_this()](const auto&) {
      if (const auto proof = self.lock()) proof->writes_ = false;
    });
  }

  // Any commit that waits shows it; only our own need not wait any longer.
  void look() {
    const std::string sql =
        "SELECT pg_catalog.count(*), pg_catalog.count(CASE WHEN query = " + quote_literal(kAwaitedWrite) +
        " AND usename = SESSION_USER THEN pg_catalog.pg_cancel_backend(pid) END) FROM pg_catalog.pg_stat_activity "
        "WHERE wait_event = 'SyncRep'";
    conversation_.line.run_sql(node_, sql, kSqlAnswerLimit, [self = shared_from_this()](const SqlResult& answer) {
      if (!answer) return self->done_(Error{describe(answer.error())});
      if (cell(*answer, 0) != "0") return self->done_({});
      self->not_seen();
    });
  }

  void not_seen() {
    if (conversation_.clock() - began_ >= kWatchLimit) return write_checkpoint();
    if (!writes_) write();
    keep_alive_ = shared_from_this();  // the timer alone would not keep this conversation
    watch_.start_once(kWatch);
  }

  // Between two looks only the timer knows of this conversation. It may outlive those who asked for it.
  void look_again() {
    const auto self = std::exchange(keep_alive_, nullptr);
    if (!conversation_.wanted.expired()) look();
  }

  // The checkpointer looks at its settings before each checkpoint.
  void write_checkpoint() {
    conversation_.line.checkpoint(node_, kCheckpointLimit, [self = shared_from_this()](const SqlResult& answer) {
      answer ? self->done_({}) : self->done_(Error{describe(answer.error())});
    });
  }

  SqlConversation conversation_;
  const std::string node_;
  std::function<void(const Result<void>&)> done_;
  const Instant began_;
  Timer watch_;
  bool writes_ = false;
  std::shared_ptr<CommitProof> keep_alive_;
};

}  // namespace

void see_commits_wait(const SqlConversation& conversation, const std::string& node,
                      std::function<void(const Result<void>& seen)> done) {
  std::make_shared<CommitProof>(conversation, node, std::move(done))->begin();
}

}  // namespace pgkeel
