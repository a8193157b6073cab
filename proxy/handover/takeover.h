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
  std::vector<std::pair<std::string, MovedSession>> sessions;
  std::vector<FormerHandle> formers;
};

class Takeover {
 public:
  // Nothing: no pgkeel serves with this state directory. An error: one does, and does not hand over, with its reason.
  static Result<std::optional<Takeover>> begin(const std::string& state_directory);

  // Sockets that clients connect to, already bound.
  [[nodiscard]] std::vector<NamedSocket>& sockets() { return sockets_; }

  // "We could serve": the former process decides nothing any more when this returns. An error: it goes on.
  Result<Inheritance> receive();
  // "We could decide": from when this returns we do, and the other one obeys. An error: it goes on.
  Result<void> confirm();
  [[nodiscard]] FormerHandle former();

 private:
  explicit Takeover(FormerHandle handle) : handle_(std::move(handle)) {}
  Result<void> hear_offer();
  Result<HandoverMessage> next(Duration limit);
  Result<void> say(HandoverWord word, std::uint64_t number, std::string text);

  FormerHandle handle_;
  std::vector<NamedSocket> sockets_;
};

}  // namespace pgkeel
