// A `pgkeel agent` as a process of its own beside one server, with certificates made by `pgkeel keygen`. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "config/config.h"
#include "proxy/io/background_process.h"
#include "proxy/io/https_client.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

// An authority, a proxy's certificate, and one for an agent on each host.
class Certificates {
 public:
  explicit Certificates(const TemporaryFolder& folder, const std::vector<std::string>& hosts = {"127.0.0.1"});

  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] TlsFiles proxy() const { return {file("ca.crt"), file("proxy.crt"), file("proxy.key")}; }
  // Of one pgkeel among several, at this host.
  [[nodiscard]] TlsFiles peer(const std::string& host = "127.0.0.1") const {
    return {file("ca.crt"), file("proxy-" + host + ".crt"), file("proxy-" + host + ".key")};
  }
  [[nodiscard]] TlsFiles agent(const std::string& host) const {
    return {file("ca.crt"), file("agent-" + host + ".crt"), file("agent-" + host + ".key")};
  }

 private:
  std::string folder_;
};

// With whatever the files hold: nothing is checked.
// The line `peer` of [coordination].
std::string peer_line(const std::string& listen, const std::string& address, const TlsFiles& files);
HttpsPeer peer_of(const std::string& url, const TlsFiles& files);

class AgentProcess {
 public:
  // `lines`: more keys of [agent].
  AgentProcess(const TemporaryFolder& folder, const PostgresServer& server, const Certificates& certificates,
               const std::vector<std::string>& lines = {});

  void start();      // returns when it listens
  void kill();       // SIGKILL
  void terminate();  // SIGTERM, and waits for its end
  [[nodiscard]] bool running() { return process_ && process_->running(); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

  [[nodiscard]] AgentAccessConfig access() const;  // as the configuration of a node would have it
  [[nodiscard]] HttpsPeer peer() const;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string log_text() const;
  [[nodiscard]] const std::string& state_directory() const { return state_directory_; }

 private:
  const Certificates& certificates_;
  std::string config_file_;
  std::string state_directory_;
  std::string log_file_;
  std::string host_;  // the server's
  std::uint16_t port_;
  std::optional<BackgroundProcess> process_;
};

}  // namespace pgkeel::test
