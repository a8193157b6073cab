#include "tests/support/agent_process.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/support/peer.h"
#include "tests/support/verb.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

HttpsPeer peer_of(const std::string& url, const TlsFiles& files) {
  const auto text = [](const std::string& path) {
    std::ifstream file(path);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  return {url, text(files.ca), text(files.cert), text(files.key)};
}

Certificates::Certificates(const TemporaryFolder& folder, const std::vector<std::string>& hosts)
    : folder_(folder.path() + "/certificates") {
  std::vector<std::string> arguments = {"keygen", "--out", folder_};
  for (const auto& host : hosts) arguments.insert(arguments.end(), {"--agent", host, "--proxy", host});
  const auto made = run_pgkeel(arguments);
  if (made.exit_status != 0) throw std::runtime_error(made.error_output);
}

AgentProcess::AgentProcess(const TemporaryFolder& folder, const PostgresServer& server,
                           const Certificates& certificates, const std::vector<std::string>& lines)
    : certificates_(certificates),
      config_file_(folder.path() + "/agent-" + server.name() + ".toml"),
      state_directory_(folder.path() + "/agent-" + server.name()),
      log_file_(folder.path() + "/agent-" + server.name() + ".log"),
      host_(server.address()),
      port_(free_port()) {
  const LocalServerConfig local = server.local();
  const TlsFiles tls = certificates.agent(host_);
  std::ofstream text(config_file_);
  text << "[agent]\nlisten = \"" << (host_ == "127.0.0.1" ? host_ : "0.0.0.0") << ":" << port_ << "\"\ntls = { ca = \""
       << tls.ca << "\", cert = \"" << tls.cert << "\", key = \"" << tls.key << "\" }\ndata_directory = \""
       << local.data_directory << "\"\nbin_directory = \"" << local.bin_directory << "\"\nos_user = \"" << local.os_user
       << "\"\nquarantine = \"" << folder.path() << "/quarantine\"\nstate_directory = \"" << state_directory_ << "\"\n";
  for (const auto& line : lines) text << line << "\n";
  text << "[log]\nlevel = \"debug\"\n";
}

void AgentProcess::start() {
  process_.reset();
  auto process = BackgroundProcess::start({PGKEEL_BINARY, "agent", "--config", config_file_}, log_file_);
  if (!process) throw std::runtime_error(process.error().message);
  process_.emplace(std::move(*process));
  if (!wait_until([this] { return !running() || Peer::can_connect_to(port_); }, 30s) || !running())
    throw std::runtime_error("the agent does not listen:\n" + log_text());
}

void AgentProcess::kill() {
  ::kill(process_->pid(), SIGKILL);
  process_->end(10s);
}

void AgentProcess::terminate() {
  process_->end(20s);
}

AgentAccessConfig AgentProcess::access() const {
  return {"https://" + host_ + ":" + std::to_string(port_), certificates_.proxy()};
}

std::string peer_line(const std::string& listen, const std::string& address, const TlsFiles& files) {
  return "peer = { listen = \"" + listen + "\", address = \"" + address + "\", ca = \"" + files.ca + "\", cert = \"" +
         files.cert + "\", key = \"" + files.key + "\" }";
}

HttpsPeer AgentProcess::peer() const {
  const auto access = this->access();
  return peer_of(access.url, access.tls);
}

std::string AgentProcess::log_text() const {
  std::ifstream file(log_file_);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace pgkeel::test
