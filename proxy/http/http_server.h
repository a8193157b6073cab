// cpp-httplib's server, of which slow or silent connections cannot take all the threads: a connection that makes a
// thread wait gives it up when others need one, and a request or an answer has a limit as a whole, not for each byte.
// With TLS, a connection is served only to a peer that the acceptor lets in.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

#include <httplib.h>

#include "proxy/io/socket.h"
#include "proxy/io/tls_session.h"

namespace pgkeel {

class HttpServer : public httplib::Server {
 public:
  explicit HttpServer(std::size_t threads, std::shared_ptr<const TlsAcceptor> tls = nullptr);  // none: plain HTTP

  // For connections that come from now on. Those that are there end with the request that they make next, so that
  // every peer soon shows its certificate to the new one. Any thread.
  void use(std::shared_ptr<const TlsAcceptor> tls);

  [[nodiscard]] bool is_encrypted() const { return tls() != nullptr; }  // any thread

  // Serves whoever connects to a socket that listens already, instead of listen_after_bind(), until stop_serving(). The
  // socket is closed then, but not shut down: another process may listen at it too, and gets those who wait.
  void serve(Socket listening);
  void stop_serving();  // any thread

  // Once it is bound: cpp-httplib lets five wait in the kernel's queue, and the sixth tries again after a second.
  void widen_backlog();

  // Connections wait for a thread: an answer that goes on for as long as somebody listens has to end. Any thread.
  [[nodiscard]] bool threads_are_wanted() const { return crowd_.without_thread > 0; }

  // What connections know of each other.
  struct Crowd {
    std::atomic<std::size_t> without_thread{0};
    std::atomic<bool> stopping{false};
  };

 private:
  bool process_and_close_socket(socket_t socket) override;
  [[nodiscard]] std::shared_ptr<const TlsAcceptor> tls() const;

  mutable std::mutex tls_mutex_;
  std::shared_ptr<const TlsAcceptor> tls_;  // guarded by tls_mutex_
  Crowd crowd_;
  std::atomic<bool> serving_ends_{false};
};

}  // namespace pgkeel
