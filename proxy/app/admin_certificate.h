// The TLS files of the admin endpoint: when they change on disk they are read again and given to new connections; what
// can't be used leaves the old ones in use. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/app/file_stamp.h"
#include "proxy/base/log.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/timer.h"
#include "proxy/io/tls_session.h"

namespace pgkeel {

// What the files held when they were read.
struct AdminTls {
  AdminTlsConfig files;
  std::vector<FileStamp> stamps;
  std::shared_ptr<const TlsAcceptor> acceptor;  // none: plain HTTP
};

Result<AdminTls> load_admin_tls(const AdminTlsConfig& files);

class AdminCertificate {
 public:
  using Publish = std::function<void(std::shared_ptr<const TlsAcceptor> acceptor)>;
  using Tell = std::function<void(LogLevel severity, const std::string& text)>;

  AdminCertificate(Loop& loop, Publish publish, Tell tell);

  // From now on, and publishes it.
  void use(AdminTls tls);
  [[nodiscard]] const std::shared_ptr<const TlsAcceptor>& acceptor() const { return tls_.acceptor; }
  [[nodiscard]] std::optional<CertificateStatus> certificate() const;

 private:
  void look_again();
  void tell_of_its_end();

  Publish publish_;
  Tell tell_;
  Timer next_look_;
  AdminTls tls_;
  std::vector<FileStamp> seen_;
  WallTime told_of_{};  // that this end is near
};

}  // namespace pgkeel
