// What one side of TLS on the data path brings along: versions, ciphers, its certificate, whom it believes. Made from
// files; immutable after, any thread. TLS 1.2 at least, with forward secrecy; no session is resumed, nothing is
// renegotiated. (TLS between pgkeel and its agents: tls_session.h.)
#pragma once

#include <memory>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

struct ssl_ctx_st;
struct x509_st;

namespace pgkeel {

class TlsContext {
 public:
  // For who connects to us. `client_authority`: whose certificate a client must show; empty: none is asked for.
  static Result<std::shared_ptr<const TlsContext>> accepting(const std::string& certificate_file,
                                                             const std::string& key_file,
                                                             const std::string& client_authority_file);

  // For our connections to servers. `authority_file` empty: any certificate will do.
  enum class HostName { kAny, kMustMatch };
  static Result<std::shared_ptr<const TlsContext>> connecting(const std::string& authority_file, HostName host_name);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  [[nodiscard]] ssl_ctx_st* context() const { return context_; }
  [[nodiscard]] HostName host_name() const { return host_name_; }

  // When the certificate that we show, or one of its chain, ends. WallTime{}: we show none.
  [[nodiscard]] WallTime not_after() const { return not_after_; }
  // See end_point_hash() below; of the certificate that we show.
  [[nodiscard]] const std::string& end_point_hash() const { return end_point_hash_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  void note_certificate();

  ssl_ctx_st* context_;
  HostName host_name_ = HostName::kAny;
  WallTime not_after_{};
  std::string end_point_hash_;
};

// What a channel is bound to by tls-server-end-point (RFC 5929, section 4.1): the hash of the server's certificate, by
// the hash function of its signature, but SHA-256 for MD5 and SHA-1. Empty: its signature has no such function.
std::string end_point_hash(x509_st* certificate);

}  // namespace pgkeel
