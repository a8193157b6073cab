#include "tests/chaos/etcd_cluster.h"

#include <csignal>
#include <stdexcept>

#include <httplib.h>
#include <nlohmann/json.hpp>

#include "tests/support/wait_until.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;

constexpr int kClientPort = 2379;
constexpr int kPeerPort = 2380;

}  // namespace

EtcdCluster::EtcdCluster(const test::Network& network, std::vector<std::string> hosts)
    : network_(network), hosts_(std::move(hosts)) {
  start_all();
}

std::string EtcdCluster::url(const std::string& host, int port) const {
  return "http://" + network_.address(host) + ":" + std::to_string(port);
}

std::vector<std::string> EtcdCluster::urls() const {
  std::vector<std::string> urls;
  for (const auto& host : hosts_) urls.push_back(url(host, kClientPort));
  return urls;
}

void EtcdCluster::start(const std::string& host) {
  std::string all;
  for (const auto& each : hosts_) all += (all.empty() ? "" : ",") + each + "=" + url(each, kPeerPort);
  const auto at_host = network_.visit(host);
  auto process = BackgroundProcess::start(
      {"/usr/bin/etcd", "--name", host, "--data-dir", folder_.path() + "/" + host, "--listen-client-urls",
       url(host, kClientPort), "--advertise-client-urls", url(host, kClientPort), "--listen-peer-urls",
       url(host, kPeerPort), "--initial-advertise-peer-urls", url(host, kPeerPort), "--initial-cluster", all,
       "--logger", "zap"},
      folder_.path() + "/" + host + ".log");
  if (!process) throw std::runtime_error(process.error().message);
  processes_[host].reset();
  processes_[host].emplace(std::move(*process));
}

void EtcdCluster::start_all() {
  for (const auto& host : hosts_) {
    auto& process = processes_[host];
    if (!process || !process->running()) start(host);
  }
  if (!test::wait_until([this] { return !leader().empty(); }, 60s))
    throw std::runtime_error("etcd gets no leader: see the logs in " + folder_.path());
}

std::string EtcdCluster::leader() const {
  for (const auto& host : hosts_) {
    const auto at_host = network_.visit(host);
    httplib::Client client(network_.address(host), kClientPort);
    client.set_connection_timeout(1);
    client.set_read_timeout(1);
    const auto answer = client.Post("/v3/maintenance/status", "{}", "application/json");
    if (!answer || answer->status != 200) continue;
    const auto status = nlohmann::json::parse(answer->body, nullptr, false);
    if (!status.is_object() || !status.contains("leader")) continue;
    if (status["leader"] == status["header"]["member_id"]) return host;
  }
  return "";
}

void EtcdCluster::kill(const std::string& host) {
  processes_.at(host).reset();
}

void EtcdCluster::freeze(const std::string& host) {
  ::kill(processes_.at(host)->pid(), SIGSTOP);
}

void EtcdCluster::thaw_all() {
  for (const auto& [host, process] : processes_) {
    if (process) ::kill(process->pid(), SIGCONT);
  }
}

}  // namespace pgkeel::chaos
