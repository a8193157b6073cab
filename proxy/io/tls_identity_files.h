// A TlsIdentity in files that are renewed while we run. What is used changes only as a whole: files that do not fit
// together, as they stand while somebody replaces them one by one, or for good, leave it as it was. Reads files. One
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/certificates.h"

namespace pgkeel {

class TlsIdentityFiles {
 public:
  TlsIdentityFiles(std::string authority_file, std::string certificate_file, std::string key_file,
                   CertificateRole role);

  enum class Change { kNone, kReplaced, kUnusable };

  // To be called again and again. The files are read when they have been the same in two looks, but not as they were
  // read last. kReplaced: identity() is another one. kUnusable, once: why stands in trouble(), and identity() stays.
  Change look();
  // The same without waiting for a second look: at the start, or where somebody says that they are complete.
  Change look_now();

  [[nodiscard]] const std::optional<TlsIdentity>& identity() const { return identity_; }  // nothing: none yet
  [[nodiscard]] WallTime valid_until() const { return valid_until_; }                     // of identity()
  [[nodiscard]] const std::string& trouble() const { return trouble_; }  // with the files as they were read last

 private:
  struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t changed_ns = 0;
    bool operator==(const FileStamp&) const = default;
  };
  using Stamp = std::array<FileStamp, 3>;
  [[nodiscard]] Stamp stamp() const;
  Change read(const Stamp& as_seen);

  const std::array<std::string, 3> files_;
  const CertificateRole role_;
  std::optional<Stamp> read_;  // as they were when they were read last
  std::optional<Stamp> seen_;  // by the last look
  std::optional<TlsIdentity> identity_;
  WallTime valid_until_;
  std::string trouble_;
};

}  // namespace pgkeel
