#include "proxy/app/configuration_ledger.h"

namespace pgkeel {
namespace {

constexpr std::size_t kToldMost = 20;  // in one line; the answer of the reload has them all

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t at = 0; at < parts.size() && at < kToldMost; ++at) text += (at == 0 ? "" : "; ") + parts[at];
  if (parts.size() > kToldMost) text += "; and " + std::to_string(parts.size() - kToldMost) + " more";
  return text;
}

std::vector<std::string> lines_of(const std::vector<ConfigChange>& changes) {
  std::vector<std::string> lines;
  for (const auto& change : changes) lines.push_back(describe(change));
  return lines;
}

}  // namespace

void ConfigurationLedger::reloaded(const ReloadAnswer& answer, WallTime now) {
  const std::lock_guard lock(mutex_);
  status_.problems = answer.problems;
  if (!answer.accepted) {
    status_.reloads_refused += 1;
    return;
  }
  status_.reloads_succeeded += 1;
  status_.read_at = now;
  status_.waiting.clear();
  for (const auto& change : answer.changes) {
    if (change.effect == ReloadEffect::kRestart) status_.waiting.push_back(describe(change));
  }
}

void ConfigurationLedger::admin_certificate(std::optional<CertificateStatus> shown) {
  const std::lock_guard lock(mutex_);
  admin_certificate_ = std::move(shown);
}

void ConfigurationLedger::coordination_certificates(std::vector<CertificateStatus> certificates) {
  const std::lock_guard lock(mutex_);
  coordination_certificates_ = std::move(certificates);
}

ConfigurationStatus ConfigurationLedger::status() const {
  const std::lock_guard lock(mutex_);
  ConfigurationStatus status = status_;
  status.certificates = coordination_certificates_;
  if (admin_certificate_) status.certificates.insert(status.certificates.begin(), *admin_certificate_);
  return status;
}

std::string reload_line(const ReloadAnswer& answer, const std::string& by) {
  if (!answer.accepted) {
    return "reload by " + by +
           " refused, nothing has changed; the configuration on disk is not what runs: " + joined(answer.problems);
  }
  return "configuration reloaded by " + by + ": " +
         (answer.changes.empty() ? "nothing has changed" : joined(lines_of(answer.changes)));
}

}  // namespace pgkeel
