// cpp-httplib's server, of which slow or silent connections cannot take all the threads: there is a thread only for
// whom the acceptor has let in and who has begun a request (HttpDoor), a connection that makes a thread wait gives it
// up when others need one, and a request or an answer has a limit as a whole, not for each byte.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include <httplib.h>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/http/http_door.h"
#include "proxy/io/socket.h"
#include "proxy/io/tls_session.h"

namespace pgkeel {

class HttpServer : public httplib::Server {
 public:
  explicit HttpServer(std::size_t threads, std::shared_ptr<const TlsAcceptor> tls = nullptr);  // none: plain HTTP

  // A socket for serve(). `key`: of the configuration, for the error. Looks a name up, and waits as long as `patience`
  // for a port that is in use: it may block.
  static Result<Socket> listen_at(const std::string& key, const HostPort& address,
                                  Duration patience = Duration::zero());

  // For connections that come from now on. Those that are there end with the request that they make next, so that
  // every peer soon shows its certificate to the new one. Any thread.
  void use(std::shared_ptr<const TlsAcceptor> tls);

  [[nodiscard]] bool is_encrypted() const { return tls() != nullptr; }  // any thread

  // Serves whoever connects to a socket that listens already, until stop_serving(). The socket is closed then, but not
  // shut down: another process may listen at it too, and gets those who wait.
  void serve(Socket listening);
  void stop_serving();  // any thread
  // They would know neither limits nor TLS.
  bool listen(const std::string& host, int port, int flags = 0) = delete;
  bool listen_after_bind() = delete;

  // Connections wait for a thread: an answer that goes on for as long as somebody listens has to end. Any thread.
  [[nodiscard]] bool threads_are_wanted() const { return crowd_.without_thread > 0; }

  // What connections know of each other.
  struct Crowd {
    std::atomic<std::size_t> without_thread{0};
    std::atomic<bool> stopping{false};
  };

 private:
  void serve_guest(HttpGuest guest);
  [[nodiscard]] std::shared_ptr<const TlsAcceptor> tls() const;

  mutable std::mutex tls_mutex_;
  std::shared_ptr<const TlsAcceptor> tls_;  // guarded by tls_mutex_
  Crowd crowd_;
};

}  // namespace pgkeel
