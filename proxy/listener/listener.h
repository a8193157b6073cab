// Accepts the clients of one access point and hands their sockets on. Loop's thread only, except bind_all().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/ip_address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/accepted_client.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/socket.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;

// What becomes of those who connect while nobody is let in.
enum class AtTheDoor {
  kRefused,
  kWaits,       // in the kernel's queue
  kUnanswered,  // so that they try again later; somebody else may have this address by then
};

class Listener {
 public:
  using OnClient = std::function<void(AcceptedClient)>;

  // Every address of `listen`, bound; with port 0 the port that the first one got. Of the `inherited` sockets those
  // that are bound there already are taken out and used, so that nobody who waits in their queues is lost; with port 0
  // those that have this `name`. A numeric address need not be one of this host yet. One that overlaps with that of an
  // inherited socket is bound beside it, where a PortShare of that one lets it. For one that is in use it waits for
  // `patience`.
  static Result<std::vector<Socket>> bind_all(const HostPort& listen, const std::string& name,
                                              std::vector<NamedSocket>& inherited, Duration patience);

  // What it takes from, and what to do while there is no place for newcomers.
  struct Room {
    DescriptorBudget& descriptors;
    DescriptorBudget& newcomers;
    std::function<void()> make_room;
  };
  Listener(Loop& loop, std::vector<Socket> bound, Room room, OnClient on_client);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void open();   // clients may connect
  void close();  // they are refused; the port stays bound
  // Those who begin to connect to this address of the host are not answered, so that they try again later, when
  // somebody else may have it; nothing: everybody is heard.
  void turn_deaf_to(const std::optional<IpAddress>& address);
  // Takes those that have connected already, but where they wait, and nobody else.
  void close_door(AtTheDoor newcomers);
  // Takes those that have connected already, and closes. Destroyed then, its port is free for another socket, also
  // while a program that is just being started has copies of these sockets still. The `handed_on` ones, by their
  // descriptors, another listener has: they go on.
  void take_in_and_close(const std::vector<int>& handed_on);

  // Whoever connects waits in the kernel's queue: for this process, or for another that has the sockets too.
  void pause();
  void go_on();

  [[nodiscard]] std::uint16_t port() const { return sockets_.front().bound_port(); }

 private:
  void close_but(const std::vector<int>& handed_on);
  bool accept_from(Socket& socket);  // true: there may be more
  void listen_on_all();
  Result<void, SystemError> listen_at(Socket& socket);
  void watch_all();
  void take_in();
  void let_them_wait(const std::string& why, Duration pause);

  Loop& loop_;
  std::vector<Socket> sockets_;
  Room room_;
  OnClient on_client_;
  std::vector<std::unique_ptr<FdWatch>> watches_;
  Timer pause_;  // after there was no descriptor or memory for another client
  bool open_ = false;
  bool paused_ = false;
  std::optional<IpAddress> deaf_to_;
  Instant told_at_{};  // that clients have to wait
};

}  // namespace pgkeel
