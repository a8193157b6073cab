// When certificates in files end that nobody else looks at: the authorities that pgkeel believes, and what it shows to
// etcd and to other pgkeels. The files are read when they change; the near end of one is told once. Control thread
// only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/admin/cluster_status.h"
#include "proxy/app/file_stamp.h"
#include "proxy/base/log.h"
#include "proxy/base/time.h"
#include "proxy/io/timer.h"
#include "replication/readiness/finding.h"

namespace pgkeel {

class Loop;

class CertificateCalendar {
 public:
  struct File {
    std::string name;  // the key that names it
    std::string path;
    bool is_authority = false;  // it may hold several, side by side: the last one counts, else the first of a chain
  };
  using Tell = std::function<void(LogLevel severity, const std::string& text)>;

  using Publish = std::function<void(const std::vector<CertificateStatus>& certificates)>;

  // `publish`, where there is one, is called whenever the files were read.
  CertificateCalendar(Loop& loop, Tell tell, Publish publish = {});

  // From now on; those without a path are left out.
  void watch(std::vector<File> files);

  // Of the files that can be read.
  [[nodiscard]] const std::vector<CertificateStatus>& certificates() const { return certificates_; }
  // … and end soon, or have ended.
  void add_findings(std::optional<ReadinessReport>& report) const;

 private:
  void look();

  Tell tell_;
  Publish publish_;
  Timer next_look_;
  std::vector<File> files_;
  std::vector<FileStamp> seen_;
  std::vector<CertificateStatus> certificates_;
  std::map<std::string, WallTime> told_;  // by name: that this end is near
};

std::vector<CertificateCalendar::File> authorities_of(const ClusterConfig& cluster);
std::vector<CertificateCalendar::File> certificates_of(const CoordinationConfig& coordination);

// A certificate that ends soon, or has ended.
std::optional<Finding> certificate_finding(const CertificateStatus& certificate, WallTime now);

}  // namespace pgkeel
