// Tries to connect to a server and hangs up again: tells by the system's own error numbers, not by a library's text,
// whether somebody listens. Loop's thread only. Destroying it gives up.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class Loop;

// In the order of what counts for more where a server has several addresses.
enum class KnockResult {
  kOwnTrouble,  // we could not even ask: EMFILE, ENOBUFS, no route, no free port, not allowed
  kRefused,     // nobody listens
  kNoAnswer,    // the system gave up: ETIMEDOUT, EHOSTUNREACH, a full backlog of a Unix socket
  kOpened,      // the connection was accepted (by the kernel: the process may hang nevertheless)
};

// What an errno of socket(2) or connect(2) means; 0 is kOpened.
KnockResult classify_connect_error(int error);

class Knock {
 public:
  struct Outcome {
    KnockResult result = KnockResult::kOwnTrouble;
    std::string detail;  // "connect to 10.0.0.1:5432: Connection refused"; empty when opened
  };

  // Tries all `addresses` of `server` at once. The first that opens ends it. `done` is called once, later, unless this
  // dies before; there is no time limit in here.
  Knock(Loop& loop, const HostPort& server, const std::vector<SocketAddress>& addresses,
        std::function<void(Outcome)> done);
  ~Knock();
  Knock(const Knock&) = delete;
  Knock& operator=(const Knock&) = delete;

 private:
  struct Attempt;
  void begin(const SocketAddress& address);
  void ended(Attempt& attempt, int error);
  void finish_later();

  Loop& loop_;
  std::string server_;
  std::function<void(Outcome)> done_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::size_t running_ = 0;
  Outcome best_;
  bool finishing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
