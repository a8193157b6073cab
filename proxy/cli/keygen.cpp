#include "proxy/cli/keygen.h"

#include <filesystem>
#include <iostream>
#include <sys/stat.h>

#include "config/values.h"
#include "proxy/cli/exit_status.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClockSkew = 1h;  // a host whose clock is behind takes the certificate all the same
constexpr mode_t kSecretMode = 0600;
constexpr mode_t kPublicMode = 0644;

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] std::string certificate(const std::string& name) const { return path_ + "/" + name + ".crt"; }
  [[nodiscard]] std::string key(const std::string& name) const { return path_ + "/" + name + ".key"; }

  [[nodiscard]] bool has(const std::string& name) const {
    std::error_code ignored;
    return std::filesystem::exists(certificate(name), ignored) || std::filesystem::exists(key(name), ignored);
  }

  // The key first: a certificate that is there has one.
  [[nodiscard]] Result<void> keep(const std::string& name, const KeyedCertificate& made) const {
    if (auto written = write_new(key(name), made.key_pem, kSecretMode); !written) return written;
    if (auto written = write_new(certificate(name), made.certificate_pem, kPublicMode); !written) return written;
    std::cout << certificate(name) << "\n" << key(name) << "\n";
    return {};
  }

  [[nodiscard]] Result<KeyedCertificate> read(const std::string& name) const {
    auto certificate_pem = read_file(certificate(name), 1U << 20);
    if (!certificate_pem) return certificate_pem.error();
    auto key_pem = read_file(key(name), 1U << 20);
    if (!key_pem) return key_pem.error();
    return KeyedCertificate{std::move(*certificate_pem), std::move(*key_pem)};
  }

 private:
  std::string path_;
};

using HostLists = std::vector<std::vector<std::string>>;

Result<std::vector<std::string>> split_hosts(const std::string& option, const std::string& text) {
  std::vector<std::string> hosts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    hosts.push_back(text.substr(begin, end - begin));
    if (hosts.back().empty() || hosts.back().starts_with('/'))
      return Error{option + " " + text + ": a host is missing"};
    if (const auto complaint = complain_of_host(hosts.back())) return Error{option + " " + text + ": " + *complaint};
    begin = end + 1;
  }
  return hosts;
}

Result<HostLists> split_all(const std::string& option, const std::vector<std::string>& texts) {
  HostLists lists;
  for (const auto& text : texts) {
    auto hosts = split_hosts(option, text);
    if (!hosts) return hosts.error();
    lists.push_back(std::move(*hosts));
  }
  return lists;
}

Result<void> generate(const KeygenOptions& options, const HostLists& agents, const HostLists& proxies,
                      const HostLists& admins) {
  std::error_code problem;
  std::filesystem::create_directories(options.folder, problem);
  if (problem) return Error{"cannot create " + options.folder + ": " + problem.message()};
  const Folder folder(options.folder);
  const WallTime now = wall_now();
  const Validity validity{now - kClockSkew, now + options.days * Duration(24h)};
  if (!folder.has("ca")) {
    const auto made = make_authority(validity);
    if (!made) return made.error();
    if (auto kept = folder.keep("ca", *made); !kept) return kept;
  }
  const auto authority = folder.read("ca");
  if (!authority) return Error{"the authority in " + options.folder + " is not complete: " + authority.error().message};
  const auto issue = [&](const std::string& name, CertificateRequest request) -> Result<void> {
    if (folder.has(name)) {
      std::cout << folder.certificate(name) << " is there already, and left as it is\n";
      return {};
    }
    request.validity = validity;
    const auto made = issue_certificate(*authority, request);
    if (!made) return made.error();
    return folder.keep(name, *made);
  };
  if (auto issued = issue("proxy", {CertificateRole::kProxy, {}, {}}); !issued) return issued;
  for (const auto& hosts : proxies) {
    if (auto issued = issue("proxy-" + hosts.front(), {CertificateRole::kProxy, hosts, {}}); !issued) return issued;
  }
  for (const auto& hosts : admins) {
    if (auto issued = issue("admin-" + hosts.front(), {CertificateRole::kAdmin, hosts, {}}); !issued) return issued;
  }
  for (const auto& hosts : agents) {
    if (auto issued = issue("agent-" + hosts.front(), {CertificateRole::kAgent, hosts, {}}); !issued) return issued;
  }
  return {};
}

}  // namespace

int run_keygen(const KeygenOptions& options) {
  const auto agents = split_all("--agent", options.agents);
  const auto proxies = split_all("--proxy", options.proxies);
  const auto admins = split_all("--admin", options.admins);
  for (const auto* hosts : {&agents, &proxies, &admins}) {
    if (*hosts) continue;
    return fail(hosts->error().message, kExitUsage);
  }
  if (const auto generated = generate(options, *agents, *proxies, *admins); !generated) {
    return fail(generated.error().message);
  }
  std::cout << "Keep ca.key off the servers: whoever has it commands every agent. proxy.* go to pgkeel (of several, "
               "proxy-HOST.* to each), agent-HOST.* and admin-HOST.* to HOST, ca.crt to all.\n";
  return kExitDone;
}

}  // namespace pgkeel
