// Who has connected to an HttpServer and asked for nothing yet: hands are shaken here, and silence is kept here,
// without a thread for any of them. There are few places (door_places()). While all are taken, whoever has done nothing
// new for longer than kPatience goes, the oldest first, so that those who mean nothing keep nobody out for long; who
// comes meanwhile waits in the kernel's queue. One thread.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <poll.h>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/tls_session.h"

namespace pgkeel {

// A connection on which a request begins. Its socket does not block.
struct HttpGuest {
  Descriptor socket;
  std::shared_ptr<const TlsAcceptor> acceptor;  // none: plain HTTP
  std::unique_ptr<TlsSession> tls;              // hands are shaken; gone before the socket
};

class HttpDoor {
 public:
  // Enough for a round trip between two data centres.
  static constexpr Duration kPatience = std::chrono::milliseconds(250);

  // `acceptor` is asked for each connection.
  HttpDoor(int listening, std::function<std::shared_ptr<const TlsAcceptor>()> acceptor,
           std::function<void(HttpGuest)> on_guest);
  HttpDoor(const HttpDoor&) = delete;
  HttpDoor& operator=(const HttpDoor&) = delete;

  // Waits for something to happen, up to `limit`, and deals with it.
  void turn(Duration limit);

 private:
  enum class Stage { kShakesHands, kSilent, kLeaves };
  struct Visitor {
    HttpGuest guest;
    Instant since{};  // its stage began
    Stage stage = Stage::kSilent;
    short awaited = POLLIN;
  };
  using Place = std::list<Visitor>::iterator;

  static Duration limit_of(Stage stage);
  void let_time_pass();
  [[nodiscard]] bool has_room() const;
  void dismiss_the_late();
  void accept_some();
  void go_on(Place visitor);
  void shake_hands(Place visitor);
  void begin_stage(Place visitor, Stage stage);
  void see_off(Place visitor);

  const int listening_;
  const std::size_t places_;
  const std::function<std::shared_ptr<const TlsAcceptor>()> acceptor_;
  const std::function<void(HttpGuest)> on_guest_;
  std::list<Visitor> visitors_;  // whose stage began first comes first
  std::vector<pollfd> watched_;  // the listening socket, then each of them
  // Stands nearly still while the machine, or busy threads, keep this one from looking: visitors do not pay for that.
  Instant now_{};
  Instant looked_{};
  Instant accepts_again_{};  // there was no descriptor
};

}  // namespace pgkeel
