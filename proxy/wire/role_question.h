// Asks a server whether it is a standby, where it does not tell by itself (in_hot_standby: PostgreSQL 14 and up): a
// simple query of ours on the link of a client, between the server's ReadyForQuery and the client's. Pure; one for each
// login.
#pragma once

#include <optional>
#include <string>

#include "proxy/base/bytes.h"

namespace pgkeel {

class RoleQuestion {
 public:
  // `startup_packet` is the client's: a walsender for physical replication takes no SQL.
  explicit RoleQuestion(Bytes startup_packet);

  [[nodiscard]] std::string text() const;  // a Query message

  enum class Part {
    kAnswer,   // belongs to the answer: it is not for the client
    kEnd,      // the last part of the answer, nor is this
    kUnasked,  // a notice, a parameter, a notification: the client's
  };
  // A whole message of the server behind the question. A FATAL is not to be given to it.
  Part take(Bytes message);

  // After kEnd. Nothing: it cannot be told.
  [[nodiscard]] std::optional<bool> in_recovery() const { return in_recovery_; }

 private:
  void take_row(Bytes row);

  bool physical_replication_;
  std::optional<bool> in_recovery_;
};

}  // namespace pgkeel
