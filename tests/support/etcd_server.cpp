#include "tests/support/etcd_server.h"

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "proxy/io/child_process.h"
#include "tests/support/peer.h"
#include "tests/support/postgres_server.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

EtcdServer::EtcdServer(EtcdOptions options)
    : options_(std::move(options)),
      client_port_(free_port()),
      peer_port_(free_port()),
      url_((options_.cert.empty() ? "http" : "https") + std::string("://127.0.0.1:") + std::to_string(client_port_)) {
  start();
}

void EtcdServer::start() {
  process_.reset();
  const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
  std::vector<std::string> arguments = {"/usr/bin/etcd",
                                        "--name",
                                        "one",
                                        "--data-dir",
                                        folder_.path() + "/etcd",
                                        "--listen-client-urls",
                                        url_,
                                        "--advertise-client-urls",
                                        url_,
                                        "--listen-peer-urls",
                                        peer,
                                        "--initial-advertise-peer-urls",
                                        peer,
                                        "--initial-cluster",
                                        "one=" + peer,
                                        "--logger",
                                        "zap"};
  // Tokens end as soon as they can, so that whoever holds one for long learns it in a test.
  if (!options_.cert.empty())
    arguments.insert(arguments.end(),
                     {"--cert-file", options_.cert, "--key-file", options_.key, "--auth-token-ttl", "1"});
  if (!options_.client_ca.empty())
    arguments.insert(arguments.end(), {"--client-cert-auth", "--trusted-ca-file", options_.client_ca});
  auto process = BackgroundProcess::start(arguments, folder_.path() + "/etcd.log");
  if (!process) throw std::runtime_error(process.error().message);
  process_.emplace(std::move(*process));
  if (!wait_until([this] { return !process_->running() || Peer::can_connect_to(client_port_); }) ||
      !process_->running())
    throw std::runtime_error("etcd does not start: see its log in " + folder_.path());
}

void EtcdServer::freeze() {
  ::kill(process_->pid(), SIGSTOP);
}

void EtcdServer::thaw() {
  ::kill(process_->pid(), SIGCONT);
}

void EtcdServer::kill() {
  process_.reset();
}

void EtcdServer::control(const std::string& ca, const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {"/usr/bin/env", "ETCDCTL_API=3", "/usr/bin/etcdctl", "--endpoints=" + url_,
                                      "--cacert=" + ca};
  if (!options_.client_ca.empty()) command.insert(command.end(), {"--cert=" + options_.cert, "--key=" + options_.key});
  command.insert(command.end(), arguments.begin(), arguments.end());
  if (const auto done = run_checked({.arguments = std::move(command), .limit = 60s}); !done)
    throw std::runtime_error(done.error().message);
}

}  // namespace pgkeel::test
