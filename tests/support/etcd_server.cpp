#include "tests/support/etcd_server.h"

#include <chrono>
#include <csignal>
#include <stdexcept>

#include "tests/support/peer.h"
#include "tests/support/postgres_server.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

EtcdServer::EtcdServer()
    : client_port_(free_port()), peer_port_(free_port()), url_("http://127.0.0.1:" + std::to_string(client_port_)) {
  start();
}

void EtcdServer::start() {
  process_.reset();
  const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
  auto process = BackgroundProcess::start(
      {"/usr/bin/etcd", "--name", "one", "--data-dir", folder_.path() + "/etcd", "--listen-client-urls", url_,
       "--advertise-client-urls", url_, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
       "--initial-cluster", "one=" + peer, "--logger", "zap"},
      folder_.path() + "/etcd.log");
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

}  // namespace pgkeel::test
