#include "proxy/io/tls_context.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "proxy/io/certificate_role.h"
#include "proxy/io/socket.h"

namespace pgkeel {
namespace {

// In the wire format of ALPN: a length, then the name.
constexpr std::array<unsigned char, 11> kPostgresql = {10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20";

Error failure(const std::string& what) {
  // The last entry is what the file's reader made of it; the first says what is wrong.
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_GET_LIB(code) == ERR_LIB_SYS) return Error{what + ": " + describe_system_error(ERR_GET_REASON(code))};
  const char* reason = ERR_reason_error_string(code);
  return Error{what + (reason != nullptr ? std::string(": ") + reason : std::string())};
}

// OpenSSL would wait for whoever writes into a FIFO, and the thread with it. What is missing OpenSSL tells itself.
Result<void> check_files(std::initializer_list<std::string> files) {
  for (const auto& file : files) {
    std::error_code ignored;
    const auto status = std::filesystem::status(file, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      return Error{file + " is no regular file"};
  }
  return {};
}

// A client that names protocols must name ours. One that names none asked by SSLRequest, as libpq before version 17;
// after a direct ClientHello that is refused later, see TlsStream::agreed_on_postgresql().
int select_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, size, kPostgresql.data(), kPostgresql.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

void set_common_options(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphersOfTls12);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   // Messages say where they end, and Terminate that a client has nothing more to say.
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // One send for each record; what was not taken is given again, from wherever it is kept by then. An idle session
  // holds no buffers, and what is no data (key updates) gives others their turn.
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context, 1);  // one recv for a record and its header
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::accepting(const std::string& certificate_file,
                                                                const std::string& key_file,
                                                                const std::string& client_authority_file) {
  if (auto checked = check_files({certificate_file, key_file, client_authority_file}); !checked) return checked.error();
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return failure("no TLS");
  const std::shared_ptr<TlsContext> context(new TlsContext(raw));
  set_common_options(raw);
  SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_alpn_select_cb(raw, select_protocol, nullptr);
  // A key with a passphrase is refused: there is nobody to ask.
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_use_certificate_chain_file(raw, certificate_file.c_str()) != 1)
    return failure("the certificate " + certificate_file + " cannot be used");
  if (SSL_CTX_use_PrivateKey_file(raw, key_file.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(raw) != 1)
    return failure("the key " + key_file + " cannot be used with the certificate " + certificate_file);
  if (!client_authority_file.empty()) {
    if (SSL_CTX_load_verify_locations(raw, client_authority_file.c_str(), nullptr) != 1)
      return failure("the authority's certificate " + client_authority_file + " cannot be used");
    if (STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(client_authority_file.c_str()); names != nullptr)
      SSL_CTX_set_client_CA_list(raw, names);
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  context->note_certificate();
  return std::shared_ptr<const TlsContext>(context);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::connecting(const std::string& authority_file,
                                                                 HostName host_name) {
  if (auto checked = check_files({authority_file}); !checked) return checked.error();
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return failure("no TLS");
  const std::shared_ptr<TlsContext> context(new TlsContext(raw));
  set_common_options(raw);
  SSL_CTX_set_alpn_protos(raw, kPostgresql.data(), kPostgresql.size());
  context->host_name_ = host_name;
  if (!authority_file.empty()) {
    if (SSL_CTX_load_verify_locations(raw, authority_file.c_str(), nullptr) != 1)
      return failure("the authority's certificate " + authority_file + " cannot be used");
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  }
  return std::shared_ptr<const TlsContext>(context);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

void TlsContext::note_certificate() {
  X509* certificate = SSL_CTX_get0_certificate(context_);
  if (certificate == nullptr) return;
  not_after_ = end_of_certificate(certificate);
  end_point_hash_ = pgkeel::end_point_hash(certificate);
  STACK_OF(X509)* chain = nullptr;
  if (SSL_CTX_get0_chain_certs(context_, &chain) != 1) return;
  for (int at = 0; at < sk_X509_num(chain); ++at)
    not_after_ = std::min(not_after_, end_of_certificate(sk_X509_value(chain, at)));
}

std::string end_point_hash(x509_st* certificate) {
  int hash = NID_undef;
  if (X509_get_signature_info(certificate, &hash, nullptr, nullptr, nullptr) != 1 || hash == NID_undef) return {};
  if (hash == NID_md5 || hash == NID_sha1) hash = NID_sha256;
  const EVP_MD* function = EVP_get_digestbynid(hash);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (function == nullptr || X509_digest(certificate, function, digest.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace pgkeel
