#include "proxy/app/certificate_watch.h"

#include <utility>

#include "proxy/app/certificate_calendar.h"
#include "proxy/app/certificate_look.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

}  // namespace

CertificateWatch::CertificateWatch(Loop& loop, ClusterConfig cluster, Publish publish, Tell tell)
    : cluster_(std::move(cluster)),
      publish_(std::move(publish)),
      tell_(std::move(tell)),
      next_look_(loop, [this] { look_again(); }),
      in_use_(look()),
      seen_(in_use_) {}

void CertificateWatch::start() {
  watch();
}

void CertificateWatch::reconfigure(const ClusterConfig& cluster) {
  cluster_ = cluster;
  next_look_.stop();
  const auto before = std::exchange(in_use_, look());
  seen_ = in_use_;
  not_after_ = {};
  watch();
  if (in_use_ != before && !in_use_.empty()) tell_of_new_files();
}

void CertificateWatch::watch() {
  if (in_use_.empty()) return;
  if (const auto tls = load_cluster_tls(cluster_); tls && tls->clients) not_after_ = tls->clients->not_after();
  tell_of_its_end();
  next_look_.start_once(kCertificateLookEvery);
}

std::vector<FileStamp> CertificateWatch::look() const {
  return file_stamps(
      {cluster_.client_tls.cert, cluster_.client_tls.key, cluster_.client_tls.client_ca, cluster_.server_tls.ca});
}

void CertificateWatch::look_again() {
  const auto before = std::exchange(seen_, look());
  if (seen_ != before) {
    next_look_.start_once(kCertificateSettle);
    return;
  }
  if (seen_ != in_use_) reload();
  tell_of_its_end();
  next_look_.start_once(kCertificateLookEvery);
}

void CertificateWatch::reload() {
  in_use_ = look();
  seen_ = in_use_;
  if (in_use_.empty()) return;
  const auto tls = load_cluster_tls(cluster_);
  if (!tls) {
    tell_(LogLevel::kWarning, "the new TLS files cannot be used, and the old ones stay in use: " + tls.error().message);
    return;
  }
  publish_(*tls);
  if (tls->clients) not_after_ = tls->clients->not_after();
  tell_of_new_files();
}

void CertificateWatch::tell_of_new_files() {
  const bool shows_one = not_after_ != WallTime{};
  tell_(LogLevel::kInfo,
        "the TLS files were read again, for new connections" +
            (shows_one ? "; the certificate is valid until " + format_wall_time(not_after_) : std::string()));
}

void CertificateWatch::tell_of_its_end() {
  if (not_after_ == told_of_) return;
  for (const auto& certificate : certificates()) {
    const auto finding = certificate_finding(certificate, wall_now());
    if (!finding) continue;
    told_of_ = not_after_;
    tell_(LogLevel::kWarning, finding->problem + "; " + finding->remedy);
  }
}

std::vector<CertificateStatus> CertificateWatch::certificates() const {
  if (not_after_ == WallTime{}) return {};
  return {{.name = "client_tls", .file = cluster_.client_tls.cert, .not_after = not_after_}};
}

void CertificateWatch::add_findings(std::optional<ReadinessReport>& report) const {
  if (!report) return;
  for (const auto& certificate : certificates()) {
    if (auto finding = certificate_finding(certificate, wall_now()))
      report->readiness.findings.push_back(std::move(*finding));
  }
}

}  // namespace pgkeel
