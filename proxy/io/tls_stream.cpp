#include "proxy/io/tls_stream.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace pgkeel {

// Between OpenSSL and the socket of the call that is under way.
struct TlsSocketBio {
  static TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    TlsStream& stream = stream_of(bio);
    if (!stream.already_read_.empty()) {
      const std::size_t count = std::min(static_cast<std::size_t>(size), stream.already_read_.size());
      std::memcpy(into, stream.already_read_.data(), count);
      stream.already_read_.erase(0, count);
      return static_cast<int>(count);
    }
    const IoResult result =
        stream.socket_->read(std::as_writable_bytes(std::span(into, static_cast<std::size_t>(size))));
    switch (result.kind) {
      case IoResult::Kind::kBytes:
        return static_cast<int>(result.bytes);
      case IoResult::Kind::kWouldBlock:
        stream.would_block_ = true;
        BIO_set_retry_read(bio);
        return -1;
      case IoResult::Kind::kEnd:
        stream.at_end_ = true;
        return 0;
      case IoResult::Kind::kError:
        break;
    }
    stream.socket_error_ = result.error;
    return -1;
  }

  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    TlsStream& stream = stream_of(bio);
    const IoResult result = stream.socket_->write(std::as_bytes(std::span(bytes, static_cast<std::size_t>(size))));
    if (result.kind == IoResult::Kind::kBytes) return static_cast<int>(result.bytes);
    if (result.kind == IoResult::Kind::kWouldBlock)
      BIO_set_retry_write(bio);
    else
      stream.socket_error_ = result.error;
    return -1;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return stream_of(bio).at_end_ ? 1 : 0;
    return 0;
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pgkeel socket");
      BIO_meth_set_read(method, read);
      BIO_meth_set_write(method, write);
      BIO_meth_set_ctrl(method, control);
      return method;
    }();
    return made;
  }
};

namespace {

constexpr std::size_t kCallBytesMax = 1U << 30;
constexpr int kRecordsWithoutDataMax = 16;  // looked at in one go

int call_size(std::size_t size) {
  return static_cast<int>(std::min(size, kCallBytesMax));
}

bool is_address(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context, Bytes already_read)
    : context_(std::move(context)), session_(SSL_new(context_->context())), already_read_(as_text(already_read)) {
  BIO* bio = session_ == nullptr ? nullptr : BIO_new(TlsSocketBio::method());
  if (bio == nullptr) {
    SSL_free(std::exchange(session_, nullptr));  // handshake() tells
    return;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(session_, bio, bio);
}

std::unique_ptr<TlsStream> TlsStream::accepting(std::shared_ptr<const TlsContext> context, Bytes already_read) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(context), already_read));
  if (stream->session_ != nullptr) SSL_set_accept_state(stream->session_);
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::connecting(std::shared_ptr<const TlsContext> context, std::string host) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(context), {}));
  stream->host_ = std::move(host);
  if (stream->session_ == nullptr) return stream;
  SSL_set_connect_state(stream->session_);
  // A name that tells the server which certificate is meant; addresses are not allowed there (RFC 6066).
  if (!is_address(stream->host_))
    SSL_ctrl(stream->session_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, stream->host_.data());
  return stream;
}

TlsStream::~TlsStream() {
  SSL_free(session_);
}

TlsStream::Progress TlsStream::handshake(Socket& socket) {
  if (session_ == nullptr) {
    problem_ = "out of memory";
    return Progress::kFailed;
  }
  socket_ = &socket;
  for (;;) {
    would_block_ = false;
    ERR_clear_error();
    const int result = SSL_do_handshake(session_);
    if (result == 1) {
      if (!peer_has_the_name()) {
        problem_ = "the server's certificate is not for \"" + host_ + "\"";
        return Progress::kFailed;
      }
      has_more_ = SSL_has_pending(session_) == 1;
      return Progress::kDone;
    }
    switch (SSL_get_error(session_, result)) {
      case SSL_ERROR_WANT_READ:
        if (would_block_) return Progress::kNeedsRead;
        break;  // a record is done with, and there is more
      case SSL_ERROR_WANT_WRITE:
        return Progress::kNeedsWrite;
      default:
        return handshake_failed();
    }
  }
}

TlsStream::Progress TlsStream::handshake_failed() {
  const unsigned long code = ERR_peek_error();
  const long verified = SSL_get_verify_result(session_);
  connection_broke_ = at_end_ || socket_error_ != 0;
  if (verified != X509_V_OK && (SSL_get_verify_mode(session_) & SSL_VERIFY_PEER) != 0)
    problem_ = std::string("the peer's certificate cannot be trusted: ") + X509_verify_cert_error_string(verified);
  else if (socket_error_ != 0)
    problem_ = describe_system_error(socket_error_);
  else if (at_end_)
    problem_ = "the peer closed the connection during the handshake";
  else if (const char* reason = ERR_reason_error_string(code); reason != nullptr)
    problem_ = reason;
  else
    problem_ = "the handshake failed";
  ERR_clear_error();
  return Progress::kFailed;
}

// As libpq has it: an address may also stand where a name does.
bool TlsStream::peer_has_the_name() const {
  if (context_->host_name() == TlsContext::HostName::kAny || SSL_is_server(session_) == 1) return true;
  X509* certificate = SSL_get0_peer_certificate(session_);
  if (certificate == nullptr) return false;
  if (is_address(host_) && X509_check_ip_asc(certificate, host_.c_str(), 0) == 1) return true;
  return X509_check_host(certificate, host_.data(), host_.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
}

IoResult TlsStream::failed(int result) const {
  if (SSL_get_error(session_, result) == SSL_ERROR_ZERO_RETURN) return {.kind = IoResult::Kind::kEnd};
  return {.kind = IoResult::Kind::kError, .error = socket_error_ != 0 ? socket_error_ : EPROTO};
}

IoResult TlsStream::read(Socket& socket, std::span<std::byte> into) {
  socket_ = &socket;
  would_block_ = false;
  has_more_ = false;
  std::size_t total = 0;
  while (total < into.size()) {
    ERR_clear_error();
    const std::span<std::byte> rest = into.subspan(total);
    const int count = SSL_read(session_, rest.data(), call_size(rest.size()));
    if (count > 0) {
      total += static_cast<std::size_t>(count);
      has_more_ = SSL_has_pending(session_) == 1;
      if (!has_more_) break;
      continue;
    }
    const int error = SSL_get_error(session_, count);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      has_more_ = !would_block_ && SSL_has_pending(session_) == 1;
      if (total == 0) return {.kind = IoResult::Kind::kWouldBlock};
      break;
    }
    if (total == 0) return failed(count);
    has_more_ = true;  // the end, or what is wrong: it comes again
    break;
  }
  return {.kind = IoResult::Kind::kBytes, .bytes = total};
}

IoResult TlsStream::write(Socket& socket, Bytes bytes) {
  socket_ = &socket;
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    ERR_clear_error();
    const Bytes rest = bytes.subspan(taken);
    const int count = SSL_write(session_, rest.data(), call_size(rest.size()));
    if (count > 0) {
      taken += static_cast<std::size_t>(count);
      continue;
    }
    const int error = SSL_get_error(session_, count);
    if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
      return {.kind = IoResult::Kind::kError, .error = socket_error_ != 0 ? socket_error_ : EPIPE};
    if (taken == 0) return {.kind = IoResult::Kind::kWouldBlock};
    break;
  }
  return {.kind = IoResult::Kind::kBytes, .bytes = taken};
}

bool TlsStream::has_unread_bytes(Socket& socket) {
  socket_ = &socket;
  would_block_ = false;
  for (int records_without_data = 0; records_without_data < kRecordsWithoutDataMax; ++records_without_data) {
    ERR_clear_error();
    std::byte byte{};
    const int count = SSL_peek(session_, &byte, 1);
    if (count > 0) return true;
    const bool more = SSL_get_error(session_, count) == SSL_ERROR_WANT_READ && !would_block_;
    if (!more || SSL_has_pending(session_) != 1) return false;
  }
  return true;
}

void TlsStream::close_notify(Socket& socket) {
  if (session_ == nullptr || SSL_in_init(session_) == 1) return;
  socket_ = &socket;
  ERR_clear_error();
  SSL_shutdown(session_);
  ERR_clear_error();
}

bool TlsStream::agreed_on_postgresql() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(session_, &name, &size);
  return size > 0;  // nothing else is ever offered or chosen
}

std::string TlsStream::peer_end_point_hash() const {
  X509* certificate = SSL_get0_peer_certificate(session_);
  return certificate == nullptr ? std::string() : end_point_hash(certificate);
}

}  // namespace pgkeel
