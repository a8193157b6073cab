#include "proxy/io/tls_identity_files.h"

#include <sys/stat.h>
#include <utility>

namespace pgkeel {

TlsIdentityFiles::TlsIdentityFiles(std::string authority_file, std::string certificate_file, std::string key_file,
                                   CertificateRole role)
    : files_{std::move(authority_file), std::move(certificate_file), std::move(key_file)}, role_(role) {}

TlsIdentityFiles::Stamp TlsIdentityFiles::stamp() const {
  Stamp found;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    struct stat status {};
    if (stat(files_[i].c_str(), &status) != 0) continue;
    found[i] = {status.st_dev, status.st_ino, status.st_size,
                std::int64_t{status.st_ctim.tv_sec} * 1'000'000'000 + status.st_ctim.tv_nsec};
  }
  return found;
}

TlsIdentityFiles::Change TlsIdentityFiles::look() {
  const Stamp now = stamp();
  const bool settled = seen_ == now;
  seen_ = now;
  // Time alone may mend some troubles: a certificate that is not valid yet.
  return settled && (read_ != now || !trouble_.empty()) ? read(now) : Change::kNone;
}

TlsIdentityFiles::Change TlsIdentityFiles::look_now() {
  seen_ = stamp();
  return read_ != seen_ || !trouble_.empty() ? read(*seen_) : Change::kNone;
}

TlsIdentityFiles::Change TlsIdentityFiles::read(const Stamp& as_seen) {
  const bool changed = read_ != as_seen;
  read_ = as_seen;
  const std::string trouble_before = std::exchange(trouble_, {});
  auto found = read_tls_identity(files_[0], files_[1], files_[2]);
  auto until = found ? check_tls_identity(*found, role_) : Result<WallTime>(found.error());
  if (!until) {
    trouble_ = until.error().message;
    return changed || trouble_ != trouble_before ? Change::kUnusable : Change::kNone;
  }
  identity_ = std::move(*found);
  valid_until_ = *until;
  return Change::kReplaced;
}

}  // namespace pgkeel
