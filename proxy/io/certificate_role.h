// Between the files of proxy/io that include OpenSSL: what stands in a certificate. Any thread.
#pragma once

#include <string>

#include "proxy/base/time.h"

struct x509_st;

namespace pgkeel {

// The one organizational unit of its subject; empty where there is none, or more than one.
std::string certificate_role_in(const x509_st* certificate);

WallTime end_of_certificate(const x509_st* certificate);

}  // namespace pgkeel
