#include "replication/coordination/etcd_secrets.h"

#include <algorithm>
#include <utility>

#include "proxy/io/durable_file.h"
#include "proxy/io/tls_context.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kEndsSoon = 14 * 24h;

Result<std::string> text_of(const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path);
  if (!text) return Error{"[coordination]: " + text.error().message};
  return text;
}

Result<std::string> password_in(const std::string& path) {
  auto text = text_of(path);
  if (text) text->resize(std::min(text->size(), text->find('\n')));
  return text;
}

bool same(const HttpTransferTls& one, const HttpTransferTls& other) {
  return one.authority_pem == other.authority_pem && one.certificate_pem == other.certificate_pem &&
         one.key_pem == other.key_pem;
}

Result<HttpTransferTls> read_tls(const TlsFiles& files) {
  HttpTransferTls tls;
  for (const auto& [path, pem] : {std::pair(&files.ca, &tls.authority_pem),
                                  std::pair(&files.cert, &tls.certificate_pem), std::pair(&files.key, &tls.key_pem)}) {
    auto text = text_of(*path);
    if (!text) return text.error();
    *pem = std::move(*text);
  }
  return tls;
}

// Whether they fit together, and when the certificate ends; nothing: none is shown.
Result<std::optional<WallTime>> check(const TlsFiles& files) {
  if (!files.cert.empty()) {
    const auto context = TlsContext::accepting(files.cert, files.key, files.ca);
    if (!context) return context.error();
    return std::optional((*context)->not_after());
  }
  if (!files.ca.empty()) {
    const auto context = TlsContext::connecting(files.ca, TlsContext::HostName::kAny);
    if (!context) return context.error();
  }
  return std::optional<WallTime>();
}

}  // namespace

bool EtcdSecrets::Seen::operator==(const Seen& other) const {
  return problem == other.problem && same(tls, other.tls);
}

Result<EtcdSecrets> EtcdSecrets::read(const CoordinationConfig& config) {
  EtcdSecrets secrets(config.tls, config.password_file);
  auto password = password_in(config.password_file);
  if (!password) return password.error();
  secrets.password_ = std::move(*password);
  auto tls = read_tls(config.tls);
  if (!tls) return tls.error();
  secrets.tls_ = std::move(*tls);
  if (const auto ends = check(config.tls)) secrets.certificate_ends_ = *ends;
  return secrets;
}

const std::string& EtcdSecrets::password() {
  if (auto newest = password_in(password_file_)) password_ = std::move(*newest);
  return password_;
}

EtcdSecrets::Seen EtcdSecrets::look_at_files() const {
  auto tls = read_tls(files_);
  if (!tls) return {{}, tls.error().message};
  if (same(*tls, tls_)) return {std::move(*tls), ""};
  const auto checked = check(files_);
  return {std::move(*tls), checked ? "" : "[coordination]: " + checked.error().message};
}

void EtcdSecrets::look(WallTime now) {
  if (files_ == TlsFiles{}) return;
  Seen found = look_at_files();
  const bool settled = found == seen_;
  seen_ = std::move(found);
  if (settled && seen_.problem != told_of_) {
    told_of_ = seen_.problem;
    if (!told_of_.empty())
      tell_(Severity::kWarning,
            "the new TLS files towards etcd cannot be used, and the old ones stay in use: " + told_of_);
  }
  if (settled && seen_.problem.empty() && !same(seen_.tls, tls_)) {
    const auto ends = check(files_);
    if (!ends) return;  // changed since; the next look sees it
    tls_ = seen_.tls;
    certificate_ends_ = *ends;
    tell_(Severity::kInfo,
          "the TLS files towards etcd were read again" +
              (certificate_ends_ ? "; the certificate is valid until " + format_wall_time(*certificate_ends_)
                                 : std::string()));
  }
  tell_of_its_end(now);
}

void EtcdSecrets::tell_of_its_end(WallTime now) {
  if (!certificate_ends_ || *certificate_ends_ - now >= kEndsSoon || told_of_end_ == *certificate_ends_) return;
  told_of_end_ = *certificate_ends_;
  const bool over = told_of_end_ <= now;
  tell_(Severity::kWarning, "the certificate towards etcd (" + files_.cert + ") " + (over ? "ended at " : "ends at ") +
                                format_wall_time(told_of_end_) +
                                "; replace the files: they are read again within seconds");
}

}  // namespace pgkeel
