#include "proxy/app/admin_certificate.h"

#include <utility>

#include "proxy/app/certificate_calendar.h"
#include "proxy/app/certificate_look.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

std::vector<FileStamp> stamps_of(const AdminTlsConfig& files) {
  return file_stamps({files.cert, files.key});
}

}  // namespace

Result<AdminTls> load_admin_tls(const AdminTlsConfig& files) {
  AdminTls tls{.files = files, .stamps = stamps_of(files), .acceptor = nullptr};
  if (files.cert.empty()) return tls;
  const auto certificate = read_file(files.cert);
  if (!certificate) return Error{"admin.tls.cert: " + certificate.error().message};
  const auto key = read_file(files.key);
  if (!key) return Error{"admin.tls.key: " + key.error().message};
  auto acceptor = TlsAcceptor::open_to_all({files.cert, *certificate}, {files.key, *key});
  if (!acceptor) return Error{"admin.tls: " + acceptor.error().message};
  tls.acceptor = std::move(*acceptor);
  return tls;
}

AdminCertificate::AdminCertificate(Loop& loop, Publish publish, Tell tell)
    : publish_(std::move(publish)), tell_(std::move(tell)), next_look_(loop, [this] { look_again(); }) {}

void AdminCertificate::use(AdminTls tls) {
  tls_ = std::move(tls);
  seen_ = tls_.stamps;
  next_look_.stop();
  publish_(tls_.acceptor);
  if (!tls_.acceptor) return;
  tell_of_its_end();
  next_look_.start_once(kCertificateLookEvery);
}

void AdminCertificate::look_again() {
  const auto before = std::exchange(seen_, stamps_of(tls_.files));
  if (seen_ != before) {
    next_look_.start_once(kCertificateSettle);
    return;
  }
  if (seen_ != tls_.stamps) {
    auto changed = load_admin_tls(tls_.files);
    if (changed) {
      use(std::move(*changed));
      tell_(LogLevel::kInfo,
            "the TLS files of [admin] were read again, for new connections; the certificate is valid "
            "until " +
                format_wall_time(tls_.acceptor->not_after()));
      return;
    }
    tls_.stamps = seen_;
    tell_(LogLevel::kWarning,
          "the new TLS files of [admin] cannot be used, and the old ones stay in use: " + changed.error().message);
  }
  tell_of_its_end();
  next_look_.start_once(kCertificateLookEvery);
}

void AdminCertificate::tell_of_its_end() {
  const auto shown = certificate();
  if (!shown || shown->not_after == told_of_) return;
  const auto finding = certificate_finding(*shown, wall_now());
  if (!finding) return;
  told_of_ = shown->not_after;
  tell_(LogLevel::kWarning, finding->problem + "; " + finding->remedy);
}

std::optional<CertificateStatus> AdminCertificate::certificate() const {
  if (!tls_.acceptor) return std::nullopt;
  return CertificateStatus{.name = "admin", .file = tls_.files.cert, .not_after = tls_.acceptor->not_after()};
}

}  // namespace pgkeel
