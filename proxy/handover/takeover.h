// The process that takes over from one that runs: what it says and hears until it decides. Blocks: it has nothing else
// to do yet. One thread, before any loop runs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/handover/former_process.h"
#include "proxy/handover/handover_message.h"
#include "proxy/io/socket.h"

namespace pgkeel {

constexpr const char* kHandoverSocket = "handover.sock";  // in the state directory

// All that the former process gave.
struct Inheritance {
  Descriptor lock;  // of the state directory
  std::map<std::string, Route> routes;
  std::optional<MovedMembership> membership;  // nothing: it is the only pgkeel of its clusters
  std::vector<std::pair<std::string, MovedSession>> sessions;
  std::vector<FormerHandle> formers;
};

class Takeover {
 public:
  // Nothing: no pgkeel serves with this state directory, or it died over this. An error: one does, and does not hand
  // over, with its reason.
  static Result<std::optional<Takeover>> begin(const std::string& state_directory);

  // Sockets that clients connect to, already bound.
  [[nodiscard]] std::vector<NamedSocket>& sockets() { return sockets_; }

  // "We could serve": the former process decides nothing any more when this returns. Nothing: it has died before it had
  // given all, and we are the first. An error: it goes on.
  Result<std::optional<Inheritance>> receive();
  // "We could decide": from when this returns we do, and the other one obeys. Nothing: it has died, and decided nothing
  // since receive(). An error: it goes on.
  Result<std::optional<FormerHandle>> confirm();
  [[nodiscard]] pid_t former() const { return handle_.pid; }

 private:
  explicit Takeover(FormerHandle handle) : handle_(std::move(handle)) {}
  Result<bool> hear_offer();
  Result<bool> hear_last(const Error& broken);
  [[nodiscard]] bool has_died() const;
  Result<HandoverMessage> next(Duration limit);
  Result<void> say(HandoverWord word, std::uint64_t number, std::string text);

  FormerHandle handle_;
  std::vector<NamedSocket> sockets_;
};

}  // namespace pgkeel
