#include "proxy/wire/transaction_tracker.h"

namespace pgkeel {

std::string_view describe(TransactionOutcome outcome) {
  switch (outcome) {
    case TransactionOutcome::kNoneOpen:
      return "No transaction was open.";
    case TransactionOutcome::kRolledBack:
      return "The open transaction was rolled back.";
    case TransactionOutcome::kUnknown:
      break;
  }
  return "The outcome of the current statement or transaction is unknown: it may have been committed.";
}

void TransactionTracker::client_sent(char type) {
  switch (type) {
    case 'S':
      if (copy_in_ && !copy_end_sent_) {
        // Skipped, it covers nothing.
        ++skipped_syncs_;
        ++awaited_;
        return;
      }
      [[fallthrough]];
    case 'Q':
    case 'F':
      if (type == 'Q' && !copy_in_) copy_end_sent_ = false;
      ++awaited_;
      sent_after_sync_ = false;
      last_sync_ = type;
      return;
    case 'c':
    case 'f':
      copy_end_sent_ = true;
      return;  // like CopyData: has an effect only as part of what started the COPY
    case 'd':
    case 'p':
    case 'X':
      return;
    case 'E':  // Execute: the next CopyDone belongs to it
      if (!copy_in_) copy_end_sent_ = false;
      [[fallthrough]];
    default:
      sent_after_sync_ = true;
  }
}

void TransactionTracker::ready_for_query(char status) {
  if (awaited_ > 0) --awaited_;
  status_ = status;
  copy_in_ = false;
}

void TransactionTracker::copy_progress(char type) {
  if (type == 'G') {
    // Nobody asked for a COPY: what the client sends next is no part of one.
    if (awaited_ == 0 && !sent_after_sync_) return;
    copy_in_ = true;
    const bool sync_is_skipped = awaited_ == 1 && last_sync_ == 'S' && !copy_end_sent_;
    skipped_syncs_ = sync_is_skipped ? 1 : 0;
    // The Execute is not covered by a Sync that the server skips.
    if (sync_is_skipped) sent_after_sync_ = true;
    return;
  }
  if (type == 'C') awaited_ -= skipped_syncs_ < awaited_ ? skipped_syncs_ : awaited_;
  skipped_syncs_ = 0;
  copy_in_ = false;
}

TransactionOutcome TransactionTracker::outcome() const {
  if (in_doubt_ || awaited_ > 0 || sent_after_sync_) return TransactionOutcome::kUnknown;
  if (status_ == 'I') return TransactionOutcome::kNoneOpen;
  if (status_ == 'T' || status_ == 'E') return TransactionOutcome::kRolledBack;
  return TransactionOutcome::kUnknown;
}

}  // namespace pgkeel
