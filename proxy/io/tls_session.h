// The server's side of TLS on one accepted socket, which must not block: whoever reads or writes waits for the socket
// as need() says. With open() a peer is let in only with a certificate of the authority, made for the role that is
// expected; with open_to_all() it is asked for none. TLS 1.2 at least; no session is resumed, so that each peer shows
// its certificate. A TlsAcceptor is immutable: any thread; a TlsSession: one thread. SIGPIPE must be ignored by the
// process.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <sys/types.h>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/certificates.h"

struct ssl_ctx_st;
struct ssl_st;

namespace pgkeel {

class TlsAcceptor {
 public:
  // `identity`: ours, and whom to believe that it is a peer.
  static Result<std::shared_ptr<const TlsAcceptor>> open(const TlsIdentity& identity, CertificateRole peers);
  static Result<std::shared_ptr<const TlsAcceptor>> open_to_all(const TlsIdentity::Part& certificate,
                                                                const TlsIdentity::Part& key);
  ~TlsAcceptor();
  TlsAcceptor(const TlsAcceptor&) = delete;
  TlsAcceptor& operator=(const TlsAcceptor&) = delete;

  [[nodiscard]] ssl_ctx_st* context() const { return context_; }
  [[nodiscard]] WallTime not_after() const;  // when the certificate that we show, or one of its chain, ends

 private:
  explicit TlsAcceptor(ssl_ctx_st* context) : context_(context) {}
  static Result<std::shared_ptr<const TlsAcceptor>> showing(const TlsIdentity::Part& certificate,
                                                            const TlsIdentity::Part& key);

  ssl_ctx_st* context_;
};

class TlsSession {
 public:
  TlsSession(std::shared_ptr<const TlsAcceptor> acceptor, int descriptor);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  enum class Need { kNothing, kRead, kWrite, kEnd };  // kEnd: nothing more can be done with it

  // kNothing: the peer is who it must be. Else again when the socket is ready.
  Need handshake();

  // The number of bytes; 0: the peer has ended the session; -1: see need().
  ssize_t read(char* into, std::size_t size);
  ssize_t write(const char* bytes, std::size_t size);
  [[nodiscard]] Need need() const { return need_; }
  [[nodiscard]] bool has_bytes() const;  // that can be read without waiting

  void close_notify();  // says goodbye; does not wait

 private:
  void note_result(int result);

  std::shared_ptr<const TlsAcceptor> acceptor_;
  ssl_st* session_;
  Need need_ = Need::kNothing;
};

}  // namespace pgkeel
