#include "tests/chaos/pgkeels.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "proxy/io/clock.h"
#include "tests/support/successor.h"
#include "tests/support/wait_until.h"

namespace pgkeel::chaos {
namespace {

using Json = nlohmann::json;
using test::PgkeelOptions;
using test::PgkeelProcess;

constexpr std::uint16_t kAccessPointPort = 5432;
constexpr std::uint16_t kPeerPort = 7434;
constexpr std::size_t kEtcdMembers = 3;
constexpr Duration kRoutesLimit = std::chrono::seconds(60);

// As a careful client has it. Where several hosts are tried, none is given long.
constexpr const char* kCare =
    " user=postgres dbname=postgres connect_timeout=10 tcp_user_timeout=10000 keepalives_idle=5 keepalives_interval=2 "
    "keepalives_count=3";
constexpr const char* kCareWithSeveralHosts =
    " user=postgres dbname=postgres connect_timeout=2 tcp_user_timeout=4000 keepalives_idle=2 keepalives_interval=1 "
    "keepalives_count=2";

std::vector<std::string> numbered(const std::string& name, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t number = 1; number <= count; ++number) names.push_back(name + std::to_string(number));
  return names;
}

std::string quoted_list(const std::vector<std::string>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "\"" : ", \"") + value + "\"";
  return "[" + text + "]";
}

}  // namespace

std::vector<std::string> Pgkeels::names(std::size_t count) {
  return count == 1 ? std::vector<std::string>{kPgkeelHost} : numbered(kPgkeelHost, count);
}

std::vector<std::string> Pgkeels::hosts_of_etcd(std::size_t count) {
  return count == 1 ? std::vector<std::string>() : numbered("etcd", kEtcdMembers);
}

Pgkeels::Pgkeels(const test::Network& network, std::size_t count, bool with_vip,
                 const std::vector<test::PostgresServer*>& nodes, const test::Certificates* certificates,
                 PgkeelOptions options)
    : network_(network), names_(names(count)), with_vip_(with_vip) {
  if (are_several()) etcd_ = std::make_unique<EtcdCluster>(network_, hosts_of_etcd(count));
  options.port = kAccessPointPort;
  for (const auto& name : names_) {
    const std::string address = network_.address(name);
    options.address = with_vip_ ? "0.0.0.0" : address;
    if (are_several()) {
      options.coordination_lines = {
          "etcd = " + quoted_list(etcd_->urls()), "name = \"" + name + "\"",
          "lease = \"" + format_duration(kLease) + "\"",
          test::peer_line("0.0.0.0:" + std::to_string(kPeerPort), address + ":" + std::to_string(kPeerPort),
                          certificates->peer(address))};
      if (with_vip_)
        options.coordination_lines.push_back("vip = { address = \"" + std::string(kVirtualAddress) +
                                             "/24\", interface = \"eth0\" }");
      // Who has several hosts goes to the next one; who has one address waits there.
      options.proxy_lines = {with_vip_ ? "no_route = \"hold\"" : "no_route = \"refuse\""};
    }
    folders_[name] = std::make_unique<test::TemporaryFolder>();
    processes_[name] = std::make_unique<PgkeelProcess>(*folders_[name], nodes, options);
    start(name);
  }
}

void Pgkeels::start(const std::string& name) {
  const auto at_host = network_.visit(name);
  processes_.at(name)->start();
}

void Pgkeels::start_all() {
  if (etcd_) etcd_->start_all();
  for (const auto& [name, process] : processes_) {
    if (!process->running()) start(name);
  }
}

void Pgkeels::restart(const std::string& name) {
  const auto at_host = network_.visit(name);
  PgkeelProcess& process = *processes_.at(name);
  test::Successor successor(process);
  if (!test::wait_serves(process, successor.pid()) || !test::wait_alone(process))
    throw std::runtime_error("nobody takes over from " + name);
  process.follow_by(std::move(successor.process()));
}

void Pgkeels::freeze(const std::string& name) {
  ::kill(processes_.at(name)->pid(), SIGSTOP);
  frozen_since_[name] = monotonic_now();
}

void Pgkeels::thaw_all() {
  if (etcd_) etcd_->thaw_all();
  for (const auto& [name, since] : std::exchange(frozen_since_, {})) {
    auto& process = *processes_.at(name);
    if (!process.running()) continue;
    freezes_.push_back({network_.address(name), since, monotonic_now()});
    ::kill(process.pid(), SIGCONT);
  }
}

void Pgkeels::kill_all() {
  for (const auto& [name, process] : processes_) {
    if (process->running()) process->kill();
  }
}

Json Pgkeels::status_of(const std::string& name) const {
  const auto at_host = network_.visit(name);
  return processes_.at(name)->status();
}

Json Pgkeels::status() const {
  Json of_one;
  for (const auto& name : names_) {
    Json now = status_of(name);
    if (!now.is_object()) continue;
    if (!are_several() || now["coordination"]["leads"] == true) return now;
    of_one = std::move(now);
  }
  return of_one;
}

bool Pgkeels::routes(const std::string& name) const {
  const Json now = status_of(name);
  if (!now.is_object() || !now["route"].is_string() || now["condition"] != "normal") return false;
  if (!are_several()) return true;
  const Json& members = now["coordination"]["members"];
  return now["coordination"]["routes"] == true && members.size() == names_.size() &&
         std::ranges::all_of(
             members, [](const Json& each) { return each["has_lease"] == true && each["follows_route"] == true; });
}

bool Pgkeels::all_route() const {
  return std::ranges::all_of(names_, [this](const std::string& name) { return routes(name); });
}

bool Pgkeels::go_on_by_promises() const {
  return std::ranges::any_of(names_, [this](const std::string& name) {
    const Json now = status_of(name);
    if (!now.is_object()) return false;
    const Json& coordination = now["coordination"];
    return coordination["etcd_problem"].is_string() && coordination["routes"] == true &&
           coordination["promises_wanted"] == names_.size() - 1 &&
           coordination["promises_held"] == coordination["promises_wanted"];
  });
}

bool Pgkeels::wait_until_all_route() const {
  return test::wait_until([this] { return all_route(); }, kRoutesLimit);
}

std::string Pgkeels::leader() const {
  for (const auto& name : names_) {
    const Json now = status_of(name);
    if (now.is_object() && (!are_several() || now["coordination"]["leads"] == true)) return name;
  }
  return "";
}

std::string Pgkeels::describe() const {
  std::string text;
  for (const auto& [name, process] : processes_) {
    const auto at_host = network_.visit(name);
    text += name + ":\n" + process->describe() + "\n";
  }
  return text;
}

std::string Pgkeels::conninfo(const std::string& hosts) const {
  return "host=" + hosts + " port=" + std::to_string(processes_.begin()->second->port()) +
         (are_several() && !with_vip_ ? kCareWithSeveralHosts : kCare);
}

std::vector<std::string> Pgkeels::conninfos() const {
  if (with_vip_) return {conninfo(kVirtualAddress)};
  std::vector<std::string> all;
  std::vector<std::string> order = names_;
  for (std::size_t first = 0; first < names_.size(); ++first) {
    std::string hosts;
    for (const auto& name : order) hosts += (hosts.empty() ? "" : ",") + network_.address(name);
    all.push_back(conninfo(hosts));
    std::ranges::rotate(order, order.begin() + 1);
  }
  return all;
}

std::string Pgkeels::conninfo_of(const std::string& name) const {
  return conninfo(network_.address(name));
}

}  // namespace pgkeel::chaos
