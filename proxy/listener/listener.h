// Accepts the clients of one access point and hands their sockets on. Loop's thread only, except bind_all().
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/socket.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;

class Listener {
 public:
  // Every address of `listen`, bound; with port 0 the port that the first one got.
  static Result<std::vector<Socket>> bind_all(const HostPort& listen);

  Listener(Loop& loop, std::vector<Socket> bound, std::function<void(Socket, const IpAddress& peer)> on_client);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void open();   // clients may connect
  void close();  // they are refused; the port stays bound

  [[nodiscard]] std::uint16_t port() const { return sockets_.front().bound_port(); }

 private:
  void accept_from(Socket& socket);
  void listen_on_all();
  void watch_all();

  Loop& loop_;
  std::vector<Socket> sockets_;
  std::function<void(Socket, const IpAddress&)> on_client_;
  std::vector<std::unique_ptr<FdWatch>> watches_;
  Timer pause_;  // after the system had no descriptor or memory for another client
  bool open_ = false;
  bool short_of_resources_ = false;
};

}  // namespace pgkeel
