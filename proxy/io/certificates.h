// Certificates for mutual TLS between pgkeel and its agents: a small authority of their own, and what it signs. What a
// certificate is for stands in it twice, as its subject's organizational unit and as its extended key usage: an agent's
// is good for servers alone, a proxy's for clients, so that one agent can't command another. One that bears a proxy's
// hosts is good for both: other proxies reach it there. An admin endpoint's is good for people's browsers and the
// verbs, and opens no agent. Any thread; reads files only where it says so.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

enum class CertificateRole { kProxy, kAgent, kAdmin };

// The organizational unit: "pgkeel proxy", "pgkeel agent", "pgkeel admin".
const char* certificate_role_name(CertificateRole role);

struct KeyedCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

struct Validity {
  WallTime from;
  WallTime until;
};

// A new authority, with a key on the curve P-256.
Result<KeyedCertificate> make_authority(const Validity& validity);

struct CertificateRequest {
  CertificateRole role = CertificateRole::kAgent;
  // Names and addresses by which it is reached; the first is its name. A proxy that none other reaches has none.
  std::vector<std::string> hosts;
  Validity validity;
};
Result<KeyedCertificate> issue_certificate(const KeyedCertificate& authority, const CertificateRequest& request);

// Whom to believe and who we are, as three PEM files have it. The first may hold several authorities, so that an old
// and a new one can be believed side by side.
struct TlsIdentity {
  struct Part {
    std::string file;
    std::string pem;
  };
  Part authority;
  Part certificate;
  Part key;
};

// When the first and the last of the certificates in a PEM text end. An error where it has none.
struct CertificateEnds {
  WallTime first;
  WallTime last;
};
Result<CertificateEnds> certificate_ends(const std::string& pem);

// Reads the files, and no more.
Result<TlsIdentity> read_tls_identity(const std::string& authority_file, const std::string& certificate_file,
                                      const std::string& key_file);

// Whether the parts belong together and do for `role` now: the key is the certificate's, an authority's signature
// holds, it is valid, and it has the role. Returns when the first certificate of its chain ends.
Result<WallTime> check_tls_identity(const TlsIdentity& identity, CertificateRole role);

// The same for a proxy that other proxies reach: it is good for servers too.
Result<WallTime> check_peer_identity(const TlsIdentity& identity);

// Both. Reads files.
Result<WallTime> check_certificate_files(const std::string& authority_file, const std::string& certificate_file,
                                         const std::string& key_file, CertificateRole role);

}  // namespace pgkeel
