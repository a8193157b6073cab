// Looks after the TLS files of one cluster's access point: when they change on disk, they are read again and given to
// new connections, and nobody is dropped; what can't be used leaves the old ones in use. Control thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/app/file_stamp.h"
#include "proxy/base/log.h"
#include "proxy/base/time.h"
#include "proxy/io/timer.h"
#include "proxy/session/cluster_tls.h"

namespace pgkeel {

class CertificateWatch {
 public:
  using Publish = std::function<void(const ClusterTls& tls)>;
  using Tell = std::function<void(LogLevel severity, const std::string& text)>;

  // Made before the workers read the files, so that no change is missed.
  CertificateWatch(Loop& loop, ClusterConfig cluster, Publish publish, Tell tell);

  void start();

  // Other files, perhaps; those who use them have been given what is in them.
  void reconfigure(const ClusterConfig& cluster);

  [[nodiscard]] std::vector<CertificateStatus> certificates() const;
  // What is wrong with them now belongs to every report.
  void add_findings(std::optional<ReadinessReport>& report) const;

 private:
  [[nodiscard]] std::vector<FileStamp> look() const;
  void watch();
  void look_again();
  void tell_of_its_end();
  void tell_of_new_files();
  void reload();

  ClusterConfig cluster_;
  Publish publish_;
  Tell tell_;
  Timer next_look_;
  std::vector<FileStamp> in_use_;  // or were found to be of no use
  std::vector<FileStamp> seen_;
  WallTime not_after_{};
  WallTime told_of_{};  // that this end is near
};

}  // namespace pgkeel
