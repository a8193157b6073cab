#include "proxy/io/certificates.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "proxy/base/ip_address.h"
#include "proxy/io/certificate_role.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr std::size_t kPemBytesMax = 1U << 20;
constexpr std::size_t kCommonNameMax = 64;  // ub-common-name

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using Key = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;
using Certificate = std::unique_ptr<X509, decltype([](X509* certificate) { X509_free(certificate); })>;
using Store = std::unique_ptr<X509_STORE, decltype([](X509_STORE* store) { X509_STORE_free(store); })>;
using StoreContext =
    std::unique_ptr<X509_STORE_CTX, decltype([](X509_STORE_CTX* context) { X509_STORE_CTX_free(context); })>;
using CertificateStack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;
using Extension =
    std::unique_ptr<X509_EXTENSION, decltype([](X509_EXTENSION* extension) { X509_EXTENSION_free(extension); })>;
using BigNumber = std::unique_ptr<BIGNUM, decltype([](BIGNUM* number) { BN_free(number); })>;

Error failure(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return Error{what + (reason != nullptr ? std::string(": ") + reason : std::string())};
}

template <class Write>
std::string pem_of(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

Bio reader_of(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Certificate read_certificate(const std::string& pem) {
  const auto bio = reader_of(pem);
  return Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

Key read_key(const std::string& pem) {
  const auto bio = reader_of(pem);
  // An encrypted key would ask on the terminal without this.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_name(X509_NAME* name, const char* field, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] &= 0x7F;
  const BigNumber number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

std::time_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// With its key, version, serial number and validity; the rest is the caller's.
Certificate begin_certificate(EVP_PKEY* key, const Validity& validity) {
  Certificate certificate(X509_new());
  const bool made = certificate && X509_set_version(certificate.get(), 2) == 1 &&
                    set_random_serial(certificate.get()) &&
                    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds_of(validity.from)) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), seconds_of(validity.until)) != nullptr &&
                    X509_set_pubkey(certificate.get(), key) == 1;
  return made ? std::move(certificate) : nullptr;
}

KeyedCertificate as_pem(X509* certificate, EVP_PKEY* key) {
  return {pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); }), pem_of([&](BIO* bio) {
            return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string text;
  for (const auto& host : hosts)
    text += (text.empty() ? "" : ",") + std::string(parse_ip_address(host) ? "IP:" : "DNS:") + host;
  return text;
}

// All that stand in the text.
std::vector<Certificate> read_certificates(const std::string& pem) {
  const auto bio = reader_of(pem);
  std::vector<Certificate> found;
  while (auto certificate = Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)))
    found.push_back(std::move(certificate));
  ERR_clear_error();  // the end of the text is one
  return found;
}

template <CertificateRole kRole>
int verify_role(int verified, X509_STORE_CTX* store) {
  if (verified != 1 || X509_STORE_CTX_get_error_depth(store) > 0) return verified;
  if (certificate_role_in(X509_STORE_CTX_get_current_cert(store)) == certificate_role_name(kRole)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

// Of a pgkeel that others reach at these hosts; else it only calls.
const char* key_usage_of(const CertificateRequest& request) {
  if (request.role != CertificateRole::kProxy) return "serverAuth";
  return request.hosts.empty() ? "clientAuth" : "clientAuth,serverAuth";
}

}  // namespace

const char* certificate_role_name(CertificateRole role) {
  switch (role) {
    case CertificateRole::kProxy:
      return "pgkeel proxy";
    case CertificateRole::kAgent:
      return "pgkeel agent";
    case CertificateRole::kAdmin:
      return "pgkeel admin";
  }
  return "";
}

VerifyCallback verify_callback_for(CertificateRole role) {
  switch (role) {
    case CertificateRole::kProxy:
      return verify_role<CertificateRole::kProxy>;
    case CertificateRole::kAgent:
      return verify_role<CertificateRole::kAgent>;
    case CertificateRole::kAdmin:
      break;
  }
  return verify_role<CertificateRole::kAdmin>;
}

WallTime end_of_certificate(const x509_st* certificate) {
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return WallTime{};
  return WallTime(std::chrono::seconds(timegm(&time)));
}

std::string certificate_role_in(const x509_st* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, -1);
  // More than one says nothing clearly.
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, at) >= 0) return {};
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return text;
}

Result<KeyedCertificate> make_authority(const Validity& validity) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failure("no key can be made");
  const auto certificate = begin_certificate(key.get(), validity);
  if (!certificate) return failure("no certificate can be made");
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const bool made =
      add_name(name, "O", "pgkeel") && add_name(name, "CN", "pgkeel authority") &&
      X509_set_issuer_name(certificate.get(), name) == 1 &&
      add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash") &&
      X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0;
  if (!made) return failure("the authority's certificate cannot be made");
  return as_pem(certificate.get(), key.get());
}

Result<KeyedCertificate> issue_certificate(const KeyedCertificate& authority, const CertificateRequest& request) {
  const auto issuer = read_certificate(authority.certificate_pem);
  const auto issuer_key = read_key(authority.key_pem);
  if (!issuer || !issuer_key) return failure("the authority's certificate or key cannot be read");
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1)
    return failure("the authority's key is not that of its certificate");
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failure("no key can be made");
  const auto certificate = begin_certificate(key.get(), request.validity);
  if (!certificate) return failure("no certificate can be made");
  const std::string common_name = request.hosts.empty() ? "pgkeel proxy" : request.hosts.front();
  X509_NAME* name = X509_get_subject_name(certificate.get());
  bool made = add_name(name, "O", "pgkeel") && add_name(name, "OU", certificate_role_name(request.role)) &&
              add_name(name, "CN", common_name.substr(0, kCommonNameMax)) &&
              X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get())) == 1 &&
              add_extension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") &&
              add_extension(certificate.get(), issuer.get(), NID_ext_key_usage, key_usage_of(request)) &&
              add_extension(certificate.get(), issuer.get(), NID_subject_key_identifier, "hash") &&
              add_extension(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid:always");
  if (made && !request.hosts.empty()) {
    made = add_extension(certificate.get(), issuer.get(), NID_subject_alt_name, alternative_names(request.hosts));
  }
  if (!made || X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()) <= 0)
    return failure("the certificate of " + common_name + " cannot be made");
  return as_pem(certificate.get(), key.get());
}

Result<TlsIdentity> read_tls_identity(const std::string& authority_file, const std::string& certificate_file,
                                      const std::string& key_file) {
  TlsIdentity identity{{authority_file, {}}, {certificate_file, {}}, {key_file, {}}};
  for (auto* part : {&identity.authority, &identity.certificate, &identity.key}) {
    auto pem = read_file(part->file, kPemBytesMax);
    if (!pem) return pem.error();
    part->pem = std::move(*pem);
  }
  return identity;
}

namespace {

Result<WallTime> check_for_purpose(const TlsIdentity& identity, CertificateRole role, int purpose) {
  const std::string& certificate_file = identity.certificate.file;
  const auto authorities = read_certificates(identity.authority.pem);
  if (authorities.empty()) return Error{identity.authority.file + " holds no certificate"};
  // Those after the first one lead to the authority.
  const auto chain = read_certificates(identity.certificate.pem);
  if (chain.empty()) return Error{certificate_file + " holds no certificate"};
  const auto& certificate = chain.front();
  const auto key = read_key(identity.key.pem);
  if (!key) return failure(identity.key.file + " holds no private key without a password");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return Error{identity.key.file + " is not the key of " + certificate_file};
  }
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  const CertificateStack between(sk_X509_new_null());
  bool usable = store && context && between;
  for (const auto& authority : authorities) usable = usable && X509_STORE_add_cert(store.get(), authority.get()) == 1;
  for (std::size_t i = 1; i < chain.size(); ++i) usable = usable && sk_X509_push(between.get(), chain[i].get()) > 0;
  if (!usable || X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), between.get()) != 1)
    return failure(identity.authority.file + " cannot be used as an authority");
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  if (X509_verify_cert(context.get()) != 1) {
    const int problem = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    return Error{certificate_file + " does not hold against " + identity.authority.file + ": " +
                 X509_verify_cert_error_string(problem)};
  }
  if (certificate_role_in(certificate.get()) != certificate_role_name(role)) {
    return Error{certificate_file + " is not a certificate of a " + certificate_role_name(role) +
                 " (the organizational unit of its subject)"};
  }
  WallTime until = end_of_certificate(certificate.get());
  const auto* verified = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(verified); ++i)
    until = std::min(until, end_of_certificate(sk_X509_value(verified, i)));
  return until;
}

}  // namespace

Result<CertificateEnds> certificate_ends(const std::string& pem) {
  const auto certificates = read_certificates(pem);
  if (certificates.empty()) return Error{"there is no certificate"};
  CertificateEnds ends{WallTime::max(), WallTime::min()};
  for (const auto& certificate : certificates) {
    const WallTime end = end_of_certificate(certificate.get());
    ends = {std::min(ends.first, end), std::max(ends.last, end)};
  }
  return ends;
}

Result<WallTime> check_tls_identity(const TlsIdentity& identity, CertificateRole role) {
  return check_for_purpose(identity, role,
                           role == CertificateRole::kProxy ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
}

Result<WallTime> check_peer_identity(const TlsIdentity& identity) {
  auto as_client = check_tls_identity(identity, CertificateRole::kProxy);
  if (!as_client) return as_client;
  return check_for_purpose(identity, CertificateRole::kProxy, X509_PURPOSE_SSL_SERVER);
}

Result<WallTime> check_certificate_files(const std::string& authority_file, const std::string& certificate_file,
                                         const std::string& key_file, CertificateRole role) {
  const auto identity = read_tls_identity(authority_file, certificate_file, key_file);
  if (!identity) return identity.error();
  return check_tls_identity(*identity, role);
}

}  // namespace pgkeel
