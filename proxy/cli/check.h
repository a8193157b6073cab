// `pgkeel check`: says what is wrong with a configuration file, and with the password files and certificates that it
// names; with --live also what would go wrong in the next failover or rejoin of the clusters as they are now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/parse.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct CheckOptions {
  std::string config_path = "/etc/pgkeel/pgkeel.toml";
  bool live = false;
  bool json = false;  // with live: the findings as JSON
};

// Problems and warnings go to stderr, "F: ok: …" and findings to stdout. 0: pgkeel can start with it, and a failover
// and a rejoin would work; 1: not so.
int run_check(const CheckOptions& options);

// What the file system says of a password file.
struct PasswordFileFacts {
  std::string key;  // that names it: "cluster.orders.monitor.password_file"
  std::string path;
  int error_number = 0;  // of stat(2) or open(2); the rest is known only where it is 0
  bool is_regular = false;
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;  // permission bits
  bool owned_by_root = false;
};

// What is known of the certificates of one connection: to an agent, with clients, with servers.
struct CertificateFacts {
  std::string key;                   // that names them: "cluster.orders.node[0].agent"
  std::string problem;               // why they can't be used; empty: they can
  WallTime until = WallTime::max();  // they end
  bool made_by_keygen = false;
  std::string key_file;      // empty: there is none
  bool key_is_open = false;  // others may read it
};

// Looks at those of every node with an agent, of `client_tls` and of `server_tls`.
std::vector<CertificateFacts> look_at_certificates(const Config& config);

// Lines for stderr. Pure. `usable` becomes false where one can't be used.
std::string certificate_problems(const std::string& config_path, const std::vector<CertificateFacts>& certificates,
                                 WallTime now, bool& usable);

struct CheckReport {
  std::string problems;  // lines for stderr, warnings among them
  std::string summary;   // line for stdout; empty where something is wrong
  int exit_status = 0;
};

// Pure. `files` are those that the configuration names.
CheckReport check_report(const std::string& config_path, const ConfigResult& config,
                         const std::vector<PasswordFileFacts>& files);

// Looks at every password file that the configuration names.
std::vector<PasswordFileFacts> look_at_password_files(const Config& config);

}  // namespace pgkeel
