#include "proxy/io/tls_session.h"

#include <algorithm>
#include <limits>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "proxy/io/certificate_role.h"

namespace pgkeel {
namespace {

constexpr int kChainDepthMax = 2;
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20";  // forward secrecy

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using Certificate = std::unique_ptr<X509, decltype([](X509* certificate) { X509_free(certificate); })>;
using Key = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;

Error failure(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return Error{what + (reason != nullptr ? std::string(": ") + reason : std::string())};
}

// Gives each certificate in the text to `use`; false where there is none, or it says so.
template <class Use>
bool each_certificate(const std::string& pem, Use use) {
  const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  while (const auto certificate = Certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr))) {
    if (!use(certificate.get(), count)) return false;
    ++count;
  }
  ERR_clear_error();  // the end of the text is one
  return count > 0;
}

bool believe(SSL_CTX* context, const std::string& pem) {
  return each_certificate(
      pem, [&](X509* authority, int) { return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1; });
}

// The first is ours, the others lead to the authority.
bool show(SSL_CTX* context, const std::string& pem) {
  return each_certificate(pem, [&](X509* certificate, int number) {
    return number == 0 ? SSL_CTX_use_certificate(context, certificate) == 1
                       : SSL_CTX_add1_chain_cert(context, certificate) == 1;
  });
}

bool own(SSL_CTX* context, const std::string& pem) {
  const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const Key key(PEM_read_bio_PrivateKey(text.get(), nullptr, no_password, nullptr));
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

Result<std::shared_ptr<const TlsAcceptor>> TlsAcceptor::showing(const TlsIdentity::Part& certificate,
                                                                const TlsIdentity::Part& key) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return failure("no TLS");
  const std::shared_ptr<const TlsAcceptor> acceptor(new TlsAcceptor(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (!show(context, certificate.pem)) return failure("the certificate " + certificate.file + " cannot be used");
  if (!own(context, key.pem)) return failure("the key " + key.file + " cannot be used with " + certificate.file);
  return acceptor;
}

Result<std::shared_ptr<const TlsAcceptor>> TlsAcceptor::open(const TlsIdentity& identity, CertificateRole peers) {
  auto acceptor = showing(identity.certificate, identity.key);
  if (!acceptor) return acceptor.error();
  SSL_CTX* context = (*acceptor)->context();
  if (!believe(context, identity.authority.pem))
    return failure("the authority's certificate " + identity.authority.file + " cannot be used");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_callback_for(peers));
  SSL_CTX_set_verify_depth(context, kChainDepthMax);
  return acceptor;
}

Result<std::shared_ptr<const TlsAcceptor>> TlsAcceptor::open_to_all(const TlsIdentity::Part& certificate,
                                                                    const TlsIdentity::Part& key) {
  auto acceptor = showing(certificate, key);
  if (!acceptor) return acceptor.error();
  SSL_CTX_set_options((*acceptor)->context(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_cipher_list((*acceptor)->context(), kCiphersOfTls12);
  return acceptor;
}

WallTime TlsAcceptor::not_after() const {
  WallTime first = end_of_certificate(SSL_CTX_get0_certificate(context_));
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context_, &chain);
  for (int at = 0; chain != nullptr && at < sk_X509_num(chain); ++at)
    first = std::min(first, end_of_certificate(sk_X509_value(chain, at)));
  return first;
}

TlsAcceptor::~TlsAcceptor() {
  SSL_CTX_free(context_);
}

TlsSession::TlsSession(std::shared_ptr<const TlsAcceptor> acceptor, int descriptor)
    : acceptor_(std::move(acceptor)), session_(SSL_new(acceptor_->context())) {
  if (session_ == nullptr || SSL_set_fd(session_, descriptor) != 1) need_ = Need::kEnd;
}

TlsSession::~TlsSession() {
  SSL_free(session_);
}

TlsSession::Need TlsSession::handshake() {
  if (need_ == Need::kEnd) return need_;
  ERR_clear_error();
  note_result(SSL_accept(session_));
  return need_;
}

ssize_t TlsSession::read(char* into, std::size_t size) {
  if (need_ == Need::kEnd) return -1;
  ERR_clear_error();
  const int count = SSL_read(session_, into, static_cast<int>(std::min<std::size_t>(size, 1U << 30)));
  note_result(count);
  if (count <= 0 && SSL_get_shutdown(session_) == SSL_RECEIVED_SHUTDOWN) return 0;
  return count > 0 ? count : -1;
}

ssize_t TlsSession::write(const char* bytes, std::size_t size) {
  if (need_ == Need::kEnd) return -1;
  ERR_clear_error();
  const int count = SSL_write(session_, bytes, static_cast<int>(std::min<std::size_t>(size, 1U << 30)));
  note_result(count);
  return count > 0 ? count : -1;
}

bool TlsSession::has_bytes() const {
  return need_ != Need::kEnd && SSL_pending(session_) > 0;
}

void TlsSession::close_notify() {
  if (need_ == Need::kEnd) return;
  ERR_clear_error();
  SSL_shutdown(session_);
}

void TlsSession::note_result(int result) {
  need_ = Need::kNothing;
  if (result > 0) return;
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_WANT_READ:
      need_ = Need::kRead;
      return;
    case SSL_ERROR_WANT_WRITE:
      need_ = Need::kWrite;
      return;
    default:
      need_ = Need::kEnd;
  }
}

}  // namespace pgkeel
