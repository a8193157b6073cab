#include "proxy/cli/check.h"

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "proxy/cli/check_live.h"
#include "proxy/io/certificate_host.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/tls_context.h"

namespace pgkeel {
namespace {

constexpr Duration kEndsSoon = 30 * 24h;
constexpr std::uint32_t kReadableByGroup = 0040;
constexpr std::uint32_t kReadableByOthers = 0004;

std::optional<std::string> error_of(const PasswordFileFacts& file) {
  // Another user's file may well be readable for pgkeel when it runs as that user.
  if (file.error_number != 0 && file.error_number != EACCES) {
    return std::generic_category().message(file.error_number);
  }
  if (file.error_number == 0 && !file.is_regular) return "is not a file";
  if (file.error_number == 0 && file.size_bytes == 0) return "is empty";
  return std::nullopt;
}

// As PostgreSQL judges key files: a group may read what root owns.
std::optional<std::string> warning_of(const PasswordFileFacts& file) {
  if (file.error_number == EACCES) return "cannot be read by the user that runs this check";
  if (file.error_number != 0) return std::nullopt;
  if ((file.mode & kReadableByOthers) != 0) return fmt::format("is readable by everyone; run: chmod 600 {}", file.path);
  if ((file.mode & kReadableByGroup) != 0 && !file.owned_by_root) {
    return fmt::format("is readable by its group; run: chmod 600 {}", file.path);
  }
  return std::nullopt;
}

// The other pgkeels cannot stop, start or rebuild such a node, also when they lead.
std::string warnings_of_local_nodes(const std::string& config_path, const Config& config) {
  if (!config.coordination.is_given()) return "";
  std::string lines;
  for (const ClusterConfig& cluster : config.clusters) {
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      if (cluster.nodes[i].local)
        lines += fmt::format(
            "{}: warning: cluster.{}.node[{}].local: only the pgkeel on this host could stop, start and rebuild it; "
            "of several pgkeels any may have to: run pgkeel agent beside it, and give all of them `agent`\n",
            config_path, cluster.name, i);
    }
  }
  return lines;
}

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

PasswordFileFacts look_at(const std::string& key, const std::string& path) {
  PasswordFileFacts facts{.key = key, .path = path};
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || ::access(path.c_str(), R_OK) != 0) {
    facts.error_number = errno;
    return facts;
  }
  facts.is_regular = S_ISREG(status.st_mode);
  facts.size_bytes = static_cast<std::uint64_t>(status.st_size);
  facts.mode = static_cast<std::uint32_t>(status.st_mode) & 07777U;
  facts.owned_by_root = status.st_uid == 0;
  return facts;
}

bool is_open(const std::string& key, const std::string& path) {
  const PasswordFileFacts file = look_at(key, path);
  return file.error_number == 0 && warning_of(file).has_value();
}

CertificateFacts facts_of_key(const std::string& key, const std::string& key_file) {
  CertificateFacts facts;
  facts.key = key;
  facts.key_file = key_file;
  facts.key_is_open = is_open(key + ".key", key_file);
  return facts;
}

// Of a certificate that pgkeel shows, with its key and what may have signed the other side's.
CertificateFacts look_at_identity(const std::string& key, const std::string& cert, const std::string& key_file,
                                  const std::string& ca) {
  CertificateFacts facts = facts_of_key(key, key_file);
  if (const auto context = TlsContext::accepting(cert, key_file, ca))
    facts.until = (*context)->not_after();
  else
    facts.problem = context.error().message;
  return facts;
}

// Of one of several pgkeels: what it shows the others, and etcd.
void look_at_coordination_tls(const CoordinationConfig& coordination, std::vector<CertificateFacts>& certificates) {
  if (!coordination.is_given()) return;
  const PeerConfig& peer = coordination.peer;
  CertificateFacts& facts = certificates.emplace_back(facts_of_key("coordination.peer", peer.tls.key));
  facts.made_by_keygen = true;
  const auto identity = read_tls_identity(peer.tls.ca, peer.tls.cert, peer.tls.key);
  const auto until = identity ? check_peer_identity(*identity) : Result<WallTime>(identity.error());
  if (!until)
    facts.problem = until.error().message;
  else if (!certificate_bears_host(identity->certificate.pem, peer.address.host))
    facts.problem =
        fmt::format("{} does not bear {}, at which the others reach this pgkeel (`address`): pgkeel keygen --proxy {}",
                    peer.tls.cert, peer.address.host, peer.address.host);
  else
    facts.until = *until;
  if (const auto& tls = coordination.tls; !tls.cert.empty())
    certificates.push_back(look_at_identity("coordination.tls", tls.cert, tls.key, tls.ca));
}

void look_at_tls(const ClusterConfig& cluster, std::vector<CertificateFacts>& certificates) {
  if (const auto& tls = cluster.client_tls; tls.mode != ClientTlsMode::kOff)
    certificates.push_back(
        look_at_identity("cluster." + cluster.name + ".client_tls", tls.cert, tls.key, tls.client_ca));
  if (const auto& tls = cluster.server_tls; tls.mode != ServerTlsMode::kDisable) {
    CertificateFacts& facts = certificates.emplace_back();
    facts.key = "cluster." + cluster.name + ".server_tls";
    if (const auto context = TlsContext::connecting(tls.ca, TlsContext::HostName::kAny); !context)
      facts.problem = context.error().message;
  }
}

}  // namespace

CheckReport check_report(const std::string& config_path, const ConfigResult& config,
                         const std::vector<PasswordFileFacts>& files) {
  CheckReport report;
  if (!config) {
    report.problems = format_problems(config.error());
    report.exit_status = 1;
    return report;
  }
  for (const PasswordFileFacts& file : files) {
    if (const auto error = error_of(file)) {
      report.problems += fmt::format("{}: {}: {}: {}\n", config_path, file.key, file.path, *error);
      report.exit_status = 1;
    } else if (const auto warning = warning_of(file)) {
      report.problems += fmt::format("{}: warning: {}: {} {}\n", config_path, file.key, file.path, *warning);
    }
  }
  if (report.exit_status != 0) return report;
  report.problems += warnings_of_local_nodes(config_path, *config);
  std::size_t nodes = 0;
  for (const ClusterConfig& cluster : config->clusters) nodes += cluster.nodes.size();
  report.summary =
      fmt::format("{}: ok: {}, {}\n", config_path, counted(config->clusters.size(), "cluster"), counted(nodes, "node"));
  return report;
}

std::vector<PasswordFileFacts> look_at_password_files(const Config& config) {
  std::vector<PasswordFileFacts> files;
  if (const auto& etcd = config.coordination; !etcd.password_file.empty())
    files.push_back(look_at("coordination.password_file", etcd.password_file));
  for (const ClusterConfig& cluster : config.clusters) {
    const std::string path = "cluster." + cluster.name;
    if (!cluster.monitor.password_file.empty()) {
      files.push_back(look_at(path + ".monitor.password_file", cluster.monitor.password_file));
    }
    if (!cluster.replication.password_file.empty()) {
      files.push_back(look_at(path + ".replication.password_file", cluster.replication.password_file));
    }
  }
  return files;
}

std::vector<CertificateFacts> look_at_certificates(const Config& config) {
  std::vector<CertificateFacts> certificates;
  if (const auto& tls = config.admin.tls; !tls.cert.empty())
    certificates.push_back(look_at_identity("admin.tls", tls.cert, tls.key, tls.ca));
  look_at_coordination_tls(config.coordination, certificates);
  for (const ClusterConfig& cluster : config.clusters) {
    look_at_tls(cluster, certificates);
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      const auto& agent = cluster.nodes[i].agent;
      if (!agent) continue;
      CertificateFacts facts;
      facts.key = fmt::format("cluster.{}.node[{}].agent", cluster.name, i);
      facts.made_by_keygen = true;
      const auto& tls = agent->tls;
      const auto until = check_certificate_files(tls.ca, tls.cert, tls.key, CertificateRole::kProxy);
      if (until) {
        facts.until = *until;
      } else {
        facts.problem = until.error().message;
      }
      facts.key_is_open = is_open(facts.key + ".key", tls.key);
      facts.key_file = tls.key;
      certificates.push_back(std::move(facts));
    }
  }
  return certificates;
}

std::string certificate_problems(const std::string& config_path, const std::vector<CertificateFacts>& certificates,
                                 WallTime now, bool& usable) {
  std::string lines;
  for (const CertificateFacts& facts : certificates) {
    if (!facts.problem.empty()) {
      usable = false;
      lines += fmt::format("{}: {}: {}\n", config_path, facts.key, facts.problem);
      continue;
    }
    if (facts.key_is_open)
      lines += fmt::format("{}: warning: {}: {} is readable by others; run: chmod 600 {}\n", config_path, facts.key,
                           facts.key_file, facts.key_file);
    if (facts.until - now < kEndsSoon)
      lines +=
          fmt::format("{}: warning: {}: the certificates end at {}{}\n", config_path, facts.key,
                      format_wall_time(facts.until), facts.made_by_keygen ? "; make new ones with pgkeel keygen" : "");
  }
  return lines;
}

int run_check(const CheckOptions& options) {
  const ConfigResult config = load_config(options.config_path);
  const auto files = config ? look_at_password_files(*config) : std::vector<PasswordFileFacts>();
  CheckReport report = check_report(options.config_path, config, files);
  if (config) {
    bool usable = true;
    report.problems += certificate_problems(options.config_path, look_at_certificates(*config), wall_now(), usable);
    if (!usable) {
      report.exit_status = 1;
      report.summary.clear();
    }
  }
  std::fputs(report.problems.c_str(), stderr);
  if (!options.json) std::fputs(report.summary.c_str(), stdout);
  if (!options.live || report.exit_status != 0) return report.exit_status;
  return check_live(*config, options.json);
}

}  // namespace pgkeel
