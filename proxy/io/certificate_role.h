// Between the files of proxy/io that include OpenSSL: what stands in a certificate. Any thread.
#pragma once

#include <string>

#include "proxy/base/time.h"
#include "proxy/io/certificates.h"

struct x509_st;
struct x509_store_ctx_st;

namespace pgkeel {

// The one organizational unit of its subject; empty where there is none, or more than one.
std::string certificate_role_in(const x509_st* certificate);

// For SSL_CTX_set_verify(): what OpenSSL has verified (chain, dates, extended key usage) is not enough, the peer must
// have the role too.
using VerifyCallback = int (*)(int verified, x509_store_ctx_st* store);
VerifyCallback verify_callback_for(CertificateRole role);

WallTime end_of_certificate(const x509_st* certificate);

}  // namespace pgkeel
