#include "tests/support/tls_peer.h"

#include <algorithm>
#include <array>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace pgkeel::test {
namespace {

std::string last_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

void must(bool done, const char* what) {
  if (!done) throw TlsPeerError(std::string(what) + ": " + last_error());
}

}  // namespace

TlsPeer::TlsPeer(Peer peer, const TlsPeerOptions& options)
    : peer_(std::move(peer)), context_(SSL_CTX_new(options.is_server ? TLS_server_method() : TLS_client_method())) {
  SSL_CTX_set_security_level(context_, 0);
  SSL_CTX_set_cipher_list(context_, "ALL");
  SSL_CTX_set_min_proto_version(context_, 0);
  if (options.newest_version != 0) SSL_CTX_set_max_proto_version(context_, options.newest_version);
  if (!options.certificate_file.empty()) {
    must(SSL_CTX_use_certificate_chain_file(context_, options.certificate_file.c_str()) == 1, "certificate");
    must(SSL_CTX_use_PrivateKey_file(context_, options.key_file.c_str(), SSL_FILETYPE_PEM) == 1, "key");
  }
  if (!options.authority_file.empty()) {
    must(SSL_CTX_load_verify_locations(context_, options.authority_file.c_str(), nullptr) == 1, "authority");
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  }
  session_ = SSL_new(context_);
  SSL_set_bio(session_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (options.is_server) {
    SSL_set_accept_state(session_);
    return;
  }
  if (options.offers_postgresql) {
    const std::string wire = static_cast<char>(options.offered_protocol.size()) + options.offered_protocol;
    SSL_set_alpn_protos(session_, reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  SSL_set_connect_state(session_);
}

TlsPeer::~TlsPeer() {
  SSL_free(session_);
  SSL_CTX_free(context_);
}

TlsPeer::TlsPeer(TlsPeer&& other) noexcept
    : peer_(std::move(other.peer_)),
      context_(std::exchange(other.context_, nullptr)),
      session_(std::exchange(other.session_, nullptr)),
      ended_by_close_notify_(other.ended_by_close_notify_) {}

std::string TlsPeer::take_output() {
  if (SSL_in_init(session_) == 1) SSL_do_handshake(session_);
  ERR_clear_error();
  std::string bytes(static_cast<std::size_t>(BIO_pending(SSL_get_wbio(session_))), '\0');
  if (!bytes.empty()) BIO_read(SSL_get_wbio(session_), bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

bool TlsPeer::take_input() {
  const std::string bytes = peer_.receive_some();
  if (bytes.empty()) return false;
  BIO_write(SSL_get_rbio(session_), bytes.data(), static_cast<int>(bytes.size()));
  return true;
}

// True when the handshake is over.
bool TlsPeer::advance() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_);
  if (result == 1) return true;
  if (SSL_get_error(session_, result) != SSL_ERROR_WANT_READ) throw TlsPeerError("handshake: " + last_error());
  return false;
}

void TlsPeer::shake_hands(std::size_t piece) {
  for (bool done = false; !done;) {
    std::string problem;
    try {
      done = advance();
    } catch (const TlsPeerError& error) {
      problem = error.what();
    }
    std::string out = take_output();  // alerts too
    while (!out.empty()) {
      const std::size_t size = piece == 0 ? out.size() : std::min(piece, out.size());
      peer_.send(out.substr(0, size));
      out.erase(0, size);
    }
    if (!problem.empty()) throw TlsPeerError(problem);
    if (!done && !take_input()) throw TlsPeerError("handshake: the other side has closed the connection");
  }
}

std::string TlsPeer::encrypt(std::string_view text) {
  while (!text.empty()) {
    const int count = SSL_write(session_, text.data(), static_cast<int>(text.size()));
    must(count > 0, "write");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return take_output();
}

void TlsPeer::send(std::string_view text) {
  peer_.send(encrypt(text));
}

std::string TlsPeer::receive(std::size_t size) {
  std::string received;
  std::array<char, 16384> buffer{};
  while (received.size() < size) {
    ERR_clear_error();
    const int count =
        SSL_read(session_, buffer.data(), static_cast<int>(std::min(buffer.size(), size - received.size())));
    if (count > 0) {
      received.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    const int error = SSL_get_error(session_, count);
    if (error == SSL_ERROR_ZERO_RETURN) {
      ended_by_close_notify_ = true;
      break;
    }
    if (error != SSL_ERROR_WANT_READ) throw TlsPeerError("read: " + last_error());
    if (!take_input()) break;
  }
  return received;
}

std::string TlsPeer::receive_message() {
  std::string received = receive(5);
  if (received.size() < 5) return received;
  std::size_t length = 0;
  for (std::size_t at = 1; at < 5; ++at) length = (length << 8) | static_cast<unsigned char>(received[at]);
  return received + receive(length - 4);
}

std::string TlsPeer::receive_to_end() {
  return receive(std::string::npos);
}

void TlsPeer::say_goodbye() {
  SSL_shutdown(session_);
  peer_.send(take_output());
}

bool TlsPeer::handshake_is_over() const {
  return SSL_is_init_finished(session_) == 1;
}

void TlsPeer::ask_for_renegotiation() {
  must(SSL_renegotiate(session_) == 1, "renegotiate");
  SSL_do_handshake(session_);
  peer_.send(take_output());
}

void TlsPeer::ask_for_key_update() {
  must(SSL_key_update(session_, SSL_KEY_UPDATE_REQUESTED) == 1, "key update");
  SSL_do_handshake(session_);
  peer_.send(take_output());
}

std::string TlsPeer::version() const {
  return SSL_get_version(session_);
}

std::string TlsPeer::certificate_of_other_side() const {
  const X509* certificate = SSL_get0_peer_certificate(session_);
  if (certificate == nullptr) return {};
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(std::max(size, 0)));
  OPENSSL_free(bytes);
  return der;
}

}  // namespace pgkeel::test
