// Keeps book of the configuration that runs: when it was read, how reloads went, what waits for a restart. Written by
// the control thread; status() by any thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/admin/configuration_status.h"
#include "proxy/admin/reload_answer.h"
#include "proxy/base/time.h"

namespace pgkeel {

class ConfigurationLedger {
 public:
  ConfigurationLedger(std::string file, WallTime read_at) {
    status_.file = std::move(file);
    status_.read_at = read_at;
  }

  void reloaded(const ReloadAnswer& answer, WallTime now);
  void admin_certificate(std::optional<CertificateStatus> shown);
  void coordination_certificates(std::vector<CertificateStatus> certificates);
  [[nodiscard]] ConfigurationStatus status() const;

 private:
  mutable std::mutex mutex_;
  ConfigurationStatus status_;  // but for the certificates
  std::optional<CertificateStatus> admin_certificate_;
  std::vector<CertificateStatus> coordination_certificates_;
};

// The reload as one line for the log and the events.
std::string reload_line(const ReloadAnswer& answer, const std::string& by);

}  // namespace pgkeel
