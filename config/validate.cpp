#include "config/validate.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "config/find.h"
#include "config/validate_coordination.h"
#include "config/values.h"

namespace pgkeel {
namespace {

struct NamedAddress {
  std::string path;
  HostPort address;
};
struct NamedPath {
  std::string path;
  std::string directory;
};

// Whether a socket bound to one of them keeps the other from being bound.
bool collide(const HostPort& left, const HostPort& right) {
  if (left.port == 0 || left.port != right.port || left.host.empty() || right.host.empty()) return false;
  return left.host == right.host || is_any_address(left.host) || is_any_address(right.host);
}

// Whether a connection to `server` from this host arrives at `listen`.
bool leads_to(const HostPort& server, const HostPort& listen) {
  if (server.port != listen.port || server.host.empty()) return false;
  return server.host == listen.host || (is_any_address(listen.host) && is_loopback(server.host));
}

// "/a//b/" and "/a/b" are one directory.
std::string without_spare_slashes(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

class Validator {
 public:
  Validator(const Config& config, const KeyPositions& positions, const std::string& file)
      : config_(config), positions_(positions), file_(file) {}

  std::vector<Problem> run() {
    check_admin();
    for (const ClusterConfig& cluster : config_.clusters) {
      const std::string path = "cluster." + cluster.name;
      check_detection(path + ".detection", cluster.detection);
      if (cluster.allow.empty()) complain(path + ".allow", "is empty: no client could connect");
      check_tls(path, cluster);
      check_nodes(path, cluster);
      if (cluster.has_read_only_endpoint() && cluster.max_read_lag < 2 * cluster.detection.interval) {
        complain(path + ".max_read_lag",
                 fmt::format("{} is shorter than twice the interval between probes ({}), by which it is measured",
                             format_whole_duration(cluster.max_read_lag),
                             format_whole_duration(cluster.detection.interval)));
      }
      check_preferred(path, cluster);
    }
    check_listen_addresses();
    check_servers();
    const auto complain_here = [this](const std::string& path, const std::string& what) { complain(path, what); };
    validate_coordination(config_, complain_here);
    return std::move(problems_);
  }

 private:
  void complain(const std::string& path, std::string_view message) {
    problems_.push_back({file_, positions_.find(path), fmt::format("{}: {}", path, message)});
  }

  void check_admin() {
    const HostPort& listen = config_.admin.listen;
    const AdminTlsConfig& tls = config_.admin.tls;
    if (tls.cert.empty() != tls.key.empty())
      complain(tls.cert.empty() ? "admin.tls.cert" : "admin.tls.key",
               "is missing: TLS needs a certificate and its key");
    if (!tls.ca.empty() && tls.cert.empty())
      complain("admin.tls.ca", "nobody is asked for a certificate without TLS: give `cert` and `key`");
    if (!listen.host.empty() && !is_loopback(listen.host) && tls.cert.empty() && !config_.admin.allow_plain) {
      complain("admin.listen", fmt::format("{} is not a loopback address: that needs TLS (`cert` and `key` of [admin] "
                                           "tls), or allow_plain = true where nobody else can read the network",
                                           quoted(format_host_port(listen))));
    }
  }

  void check_detection(const std::string& path, const DetectionConfig& detection) {
    const std::string timeout = format_whole_duration(detection.failure_timeout);
    if (detection.failure_timeout < detection.probe_timeout) {
      complain(path + ".failure_timeout",
               fmt::format("{} is shorter than probe_timeout ({}): no probe could end before it", timeout,
                           format_whole_duration(detection.probe_timeout)));
    }
    if (detection.failure_timeout <= detection.interval) {
      complain(path + ".failure_timeout",
               fmt::format("{} is not longer than interval ({}): a node would fail between two "
                           "probes",
                           timeout, format_whole_duration(detection.interval)));
    }
    if (detection.refused_confirm >= detection.failure_timeout) {
      complain(path + ".refused_confirm", fmt::format("{} is not shorter than failure_timeout ({})",
                                                      format_whole_duration(detection.refused_confirm), timeout));
    }
  }

  void check_tls(const std::string& path, const ClusterConfig& cluster) {
    const ClientTlsConfig& clients = cluster.client_tls;
    const std::string mode = quoted(client_tls_mode_name(clients.mode));
    if (clients.mode != ClientTlsMode::kOff) {
      if (clients.cert.empty()) complain(path + ".client_tls.cert", fmt::format("is missing: mode {} needs it", mode));
      if (clients.key.empty()) complain(path + ".client_tls.key", fmt::format("is missing: mode {} needs it", mode));
    }
    if (clients.mode == ClientTlsMode::kVerifyClient && clients.client_ca.empty())
      complain(path + ".client_tls.client_ca", fmt::format("is missing: mode {} needs it", mode));
    if (clients.mode != ClientTlsMode::kVerifyClient && !clients.client_ca.empty()) {
      complain(path + ".client_tls.client_ca",
               fmt::format("no certificate of a client is looked at in mode {}: that needs \"verify-client\"", mode));
    }
    const ServerTlsConfig& servers = cluster.server_tls;
    const bool verifies = servers.mode == ServerTlsMode::kVerifyCa || servers.mode == ServerTlsMode::kVerifyFull;
    if (verifies && servers.ca.empty()) {
      complain(path + ".server_tls.ca",
               fmt::format("is missing: mode {} needs it", quoted(server_tls_mode_name(servers.mode))));
    }
    if (servers.mode == ServerTlsMode::kDisable && !servers.ca.empty())
      complain(path + ".server_tls.ca", "no certificate of a server is looked at in mode \"disable\"");
  }

  void check_nodes(const std::string& cluster_path, const ClusterConfig& cluster) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
      const NodeConfig& node = cluster.nodes[i];
      const std::string path = fmt::format("{}.node[{}]", cluster_path, i);
      if (!node.name.empty() && !names.insert(node.name).second) {
        complain(path + ".name", fmt::format("another node of this cluster is called {} too", quoted(node.name)));
      }
      servers_.push_back({path, node.address});
      check_agent(path, node);
      if (!node.local) continue;
      const std::string data = without_spare_slashes(node.local->data_directory);
      if (data.empty()) continue;
      for (const NamedPath& other : data_directories_) {
        if (other.directory == data) {
          complain(path + ".local.data_directory",
                   fmt::format("{} is the data directory of {} too", quoted(data), other.path));
        }
      }
      data_directories_.push_back({path, data});
    }
  }

  void check_preferred(const std::string& path, const ClusterConfig& cluster) {
    if (cluster.preferred.empty()) return;
    const NodeConfig* node = find_node_config(cluster, cluster.preferred);
    if (node == nullptr) {
      complain(path + ".preferred", fmt::format("there is no node {}", quoted(cluster.preferred)));
    } else if (node->priority == 0) {
      complain(path + ".preferred", fmt::format("{} has priority 0: it is never promoted", quoted(cluster.preferred)));
    }
  }

  void check_agent(const std::string& path, const NodeConfig& node) {
    if (!node.agent) return;
    if (node.local) complain(path + ".agent", "is beside `local`: a server is handled from here, or by its agent");
    const auto address = parse_https_url(node.agent->url);
    if (!address) return;
    const auto twin = std::ranges::find(agents_, *address, &NamedAddress::address);
    if (twin != agents_.end()) {
      complain(path + ".agent.url", fmt::format("{} is the agent of {} too", quoted(node.agent->url), twin->path));
    }
    agents_.push_back({path, *address});
  }

  void check_listen_addresses() {
    listens_.push_back({"admin.listen", config_.admin.listen});
    if (config_.coordination.is_given())
      check_listen_address({"coordination.peer.listen", config_.coordination.peer.listen});
    for (const ClusterConfig& cluster : config_.clusters) {
      const std::string path = "cluster." + cluster.name;
      check_listen_address({path + ".listen", cluster.listen});
      if (cluster.has_read_only_endpoint())
        check_listen_address({path + ".listen_read_only", cluster.listen_read_only});
    }
  }

  void check_listen_address(const NamedAddress& listen) {
    for (const NamedAddress& other : listens_) {
      if (collide(other.address, listen.address)) {
        complain(listen.path, fmt::format("{} is taken by {} ({})", quoted(format_host_port(listen.address)),
                                          other.path, quoted(format_host_port(other.address))));
        break;
      }
    }
    listens_.push_back(listen);
  }

  void check_servers() {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      const NamedAddress& server = servers_[i];
      if (server.address.host.empty()) continue;
      const std::string shown = quoted(format_host_port(server.address));
      for (const NamedAddress& listen : listens_) {
        if (leads_to(server.address, listen.address)) {
          complain(server.path + ".host", fmt::format("{} is no server: it leads back to {}", shown, listen.path));
        }
      }
      const auto before = servers_.begin() + static_cast<std::ptrdiff_t>(i);
      const auto twin = std::find_if(servers_.begin(), before,
                                     [&](const NamedAddress& other) { return other.address == server.address; });
      if (twin != before) complain(server.path + ".host", fmt::format("{} is {} too", shown, twin->path));
    }
  }

  const Config& config_;
  const KeyPositions& positions_;
  const std::string& file_;
  std::vector<Problem> problems_;
  std::vector<NamedAddress> listens_;
  std::vector<NamedAddress> servers_;
  std::vector<NamedAddress> agents_;
  std::vector<NamedPath> data_directories_;
};

}  // namespace

void KeyPositions::add(std::string path, Position position) {
  positions_.emplace(std::move(path), position);
}

Position KeyPositions::find(std::string_view path) const {
  for (;;) {
    if (const auto found = positions_.find(path); found != positions_.end()) return found->second;
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) return {};
    path = path.substr(0, dot);
  }
}

std::vector<Problem> validate(const Config& config, const KeyPositions& positions, const std::string& file) {
  return Validator(config, positions, file).run();
}

}  // namespace pgkeel
