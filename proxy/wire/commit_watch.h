// Whether a COMMIT of the client is on its way: sent, and not answered yet. Only to tell how a failover found its
// sessions; what becomes of a transaction is TransactionTracker's to say. What is not seen (a commit inside a batch or
// a procedure, the implicit one of a single statement) is a statement like any other. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/bytes.h"

namespace pgkeel {

class CommitWatch {
 public:
  // A message of the client with its header; a long one may be cut short.
  void client_sent(char type, Bytes message);
  void answered() { in_flight_ = false; }  // all that was sent

  [[nodiscard]] bool in_flight() const { return in_flight_; }

  // As TransactionTracker's.
  template <class Self, class Visit>
  static void each_member(Self& self, Visit&& visit) {
    visit("commit_in_flight", self.in_flight_);
    visit("unnamed_commits", self.unnamed_commits_);
    visit("named_commit", self.named_commit_);
    visit("portal_commits", self.portal_commits_);
  }

 private:
  void parsed(std::string_view body);
  void bound(std::string_view body);

  bool in_flight_ = false;
  bool unnamed_commits_ = false;    // the unnamed prepared statement is a COMMIT
  std::uint64_t named_commit_ = 0;  // hash of the name of the newest other one that is; 0: there is none
  bool portal_commits_ = false;     // what was bound last
};

}  // namespace pgkeel
