// Between the files of proxy/io that include OpenSSL: the role that a certificate claims. Any thread.
#pragma once

#include <string>

struct x509_st;

namespace pgkeel {

// The one organizational unit of its subject; empty where there is none, or more than one.
std::string certificate_role_in(const x509_st* certificate);

}  // namespace pgkeel
