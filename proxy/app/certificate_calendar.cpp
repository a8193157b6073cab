#include "proxy/app/certificate_calendar.h"

#include <utility>

#include "proxy/app/certificate_look.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kEndsSoon = 14 * 24h;

// By the key that names it: who is turned away then.
std::string consequence_of(const std::string& name) {
  if (name == "client_tls.client_ca") return "clients that show a certificate of it cannot connect";
  if (name == "server_tls.ca") return "no node with a certificate of it is believed, and nobody gets to it";
  if (name == "coordination.peer" || name == "coordination.peer.ca")
    return "this pgkeel and the others do not hear each other";
  if (name == "coordination.tls" || name == "coordination.tls.ca")
    return "this pgkeel and etcd do not hear each other, and without a lease it lets nobody through";
  return "clients that verify it cannot connect";
}

}  // namespace

CertificateCalendar::CertificateCalendar(Loop& loop, Tell tell, Publish publish)
    : tell_(std::move(tell)), publish_(std::move(publish)), next_look_(loop, [this] { look(); }) {}

void CertificateCalendar::watch(std::vector<File> files) {
  std::erase_if(files, [](const File& file) { return file.path.empty(); });
  files_ = std::move(files);
  seen_.clear();
  certificates_.clear();
  next_look_.stop();
  if (!files_.empty()) look();
}

void CertificateCalendar::look() {
  std::vector<FileStamp> stamps;
  for (const auto& file : files_) {
    for (const auto& stamp : file_stamps({file.path})) stamps.push_back(stamp);
  }
  if (stamps != seen_) {
    seen_ = std::move(stamps);
    certificates_.clear();
    for (const auto& file : files_) {
      const auto pem = read_file(file.path);
      const auto ends = pem ? certificate_ends(*pem) : Result<CertificateEnds>(pem.error());
      if (!ends) continue;  // whoever uses it says so
      certificates_.push_back(
          {.name = file.name, .file = file.path, .not_after = file.is_authority ? ends->last : ends->first});
    }
    if (publish_) publish_(certificates_);
  }
  for (const auto& certificate : certificates_) {
    const auto finding = certificate_finding(certificate, wall_now());
    if (!finding || std::exchange(told_[certificate.name], certificate.not_after) == certificate.not_after) continue;
    tell_(LogLevel::kWarning, finding->problem + "; " + finding->remedy);
  }
  next_look_.start_once(kCertificateLookEvery);
}

void CertificateCalendar::add_findings(std::optional<ReadinessReport>& report) const {
  if (!report) return;
  for (const auto& certificate : certificates_) {
    if (auto finding = certificate_finding(certificate, wall_now()))
      report->readiness.findings.push_back(std::move(*finding));
  }
}

std::vector<CertificateCalendar::File> authorities_of(const ClusterConfig& cluster) {
  return {{.name = "client_tls.client_ca", .path = cluster.client_tls.client_ca, .is_authority = true},
          {.name = "server_tls.ca", .path = cluster.server_tls.ca, .is_authority = true}};
}

std::vector<CertificateCalendar::File> certificates_of(const CoordinationConfig& coordination) {
  if (!coordination.is_given()) return {};
  const TlsFiles& peer = coordination.peer.tls;
  const TlsFiles& etcd = coordination.tls;
  return {{.name = "coordination.peer", .path = peer.cert},
          {.name = "coordination.peer.ca", .path = peer.ca, .is_authority = true},
          {.name = "coordination.tls", .path = etcd.cert},
          {.name = "coordination.tls.ca", .path = etcd.ca, .is_authority = true}};
}

std::optional<Finding> certificate_finding(const CertificateStatus& certificate, WallTime now) {
  if (certificate.not_after - now >= kEndsSoon) return std::nullopt;
  const bool over = certificate.not_after <= now;
  return Finding{.rule = "certificate_end",
                 .subject = certificate.name,
                 .severity = FindingSeverity::kWarning,
                 .problem = "the certificate of " + certificate.name + " (" + certificate.file + ") " +
                            (over ? "ended at " : "ends at ") + format_wall_time(certificate.not_after) +
                            (over ? ": " : "; from then on ") + consequence_of(certificate.name),
                 .remedy = "replace the files: new connections use them within seconds, and nobody is dropped"};
}

}  // namespace pgkeel
