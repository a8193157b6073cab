// What etcd is shown, and whom to believe to be etcd, in files that are renewed while we run. Files that do not fit
// together, as they stand while somebody replaces them one by one, or for good, leave in use what was. Reads files. One
// thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/http_transfers.h"

namespace pgkeel {

class EtcdSecrets {
 public:
  enum class Severity { kInfo, kWarning };
  using Tell = std::function<void(Severity severity, const std::string& text)>;

  // An error names the file.
  static Result<EtcdSecrets> read(const CoordinationConfig& config);

  // Who is to hear of new files, and of a certificate that ends.
  void tell(Tell tell) { tell_ = std::move(tell); }

  // To be called again and again: takes over the TLS files when they have been the same in two looks.
  void look(WallTime now);

  [[nodiscard]] const HttpTransferTls& tls() const { return tls_; }
  // As its file has it now, or had it when it could be read last.
  const std::string& password();

 private:
  struct Seen {
    HttpTransferTls tls;
    std::string problem;  // why they cannot be used
    bool operator==(const Seen& other) const;
  };
  EtcdSecrets(TlsFiles files, std::string password_file)
      : files_(std::move(files)), password_file_(std::move(password_file)) {}
  [[nodiscard]] Seen look_at_files() const;
  void tell_of_its_end(WallTime now);

  TlsFiles files_;
  std::string password_file_;
  Tell tell_ = [](Severity, const std::string&) {};
  HttpTransferTls tls_;
  std::string password_;
  std::optional<WallTime> certificate_ends_;
  Seen seen_;               // by the last look
  std::string told_of_;     // this problem
  WallTime told_of_end_{};  // that this end is near
};

}  // namespace pgkeel
