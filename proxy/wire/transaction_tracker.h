// What became of a client's transaction if its session ended now, as far as a proxy can know: from ReadyForQuery and
// from what was sent since. In doubt it says unknown: a wrong "rolled back" makes an application pay twice. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgkeel {

enum class TransactionOutcome {
  kNoneOpen,    // the last ReadyForQuery said idle, and nothing was sent since
  kRolledBack,  // it said in (failed) transaction, and nothing was sent since
  kUnknown,     // something is on its way: it may have been committed
};

// The DETAIL of the error that ends the session.
std::string_view describe(TransactionOutcome outcome);

class TransactionTracker {
 public:
  // A message of the client, of which at least the first byte is passed on.
  void client_sent(char type);

  // A message of the server; `status` is the first byte of its body (ReadyForQuery: I, T or E).
  void server_sent(char type, char status) {
    if (type == 'Z')
      ready_for_query(status);
    else if (type == 'G' || (copy_in_ && (type == 'C' || type == 'E')))
      copy_progress(type);
  }

  // The server itself has said that what it is about to acknowledge is not certain.
  void commit_is_in_doubt() { in_doubt_ = true; }

  [[nodiscard]] TransactionOutcome outcome() const;

  // visit(name, member) for all that it knows: for a session that moves to another process.
  template <class Self, class Visit>
  static void each_member(Self& self, Visit&& visit) {
    visit("awaited", self.awaited_);
    visit("sent_after_sync", self.sent_after_sync_);
    visit("status", self.status_);
    visit("last_sync", self.last_sync_);
    visit("in_doubt", self.in_doubt_);
    visit("copy_in", self.copy_in_);
    visit("copy_end_sent", self.copy_end_sent_);
    visit("skipped_syncs", self.skipped_syncs_);
  }

 private:
  void ready_for_query(char status);
  void copy_progress(char type);

  // What a ReadyForQuery answers: the login, Query, Sync, FunctionCall. Never lower than the truth.
  std::uint64_t awaited_ = 1;
  bool sent_after_sync_ = false;  // something that the last of these does not cover
  char status_ = 'I';
  char last_sync_ = '\0';
  bool in_doubt_ = false;

  // In COPY FROM STDIN by extended query the server skips the Sync that the client sent behind Execute; whether it did
  // is certain only once the COPY has succeeded.
  bool copy_in_ = false;
  bool copy_end_sent_ = false;
  std::uint64_t skipped_syncs_ = 0;
};

}  // namespace pgkeel
