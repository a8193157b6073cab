// The part of ClusterService that reaches the hosts of its nodes, and follows a reload.
#include <algorithm>
#include <utility>

#include "config/find.h"
#include "proxy/app/cluster_service.h"
#include "proxy/app/policy_of.h"
#include "proxy/app/reload_rules.h"
#include "replication/agent/local_server.h"

namespace pgkeel {
std::map<std::string, std::unique_ptr<AgentLink>> ClusterService::make_agent_links() {
  std::map<std::string, std::unique_ptr<AgentLink>> links;
  for (const auto& node : config_.nodes) {
    if (node.agent) links.emplace(node.name, make_agent_link(node));
  }
  return links;
}

std::unique_ptr<AgentLink> ClusterService::make_agent_link(const NodeConfig& node) {
  AgentLink::Callbacks callbacks;
  callbacks.said = [this, name = node.name](const AgentWord& word) { monitor_.agent_said(name, word); };
  callbacks.notice = [this, name = node.name](const std::string& text) {
    record_of_node(LogLevel::kWarning, "agent", name, "the agent says: " + text);
  };
  callbacks.changed = [this, name = node.name](const std::string& trouble) {
    record_of_node(trouble.empty() ? LogLevel::kInfo : LogLevel::kWarning, "agent", name,
                   trouble.empty() ? "its agent answers" : trouble);
    step_soon();
  };
  callbacks.certificates = [this, name = node.name](const AgentConnections::News& news) {
    record_of_node(news.is_trouble ? LogLevel::kWarning : LogLevel::kInfo, "agent", name, news.text);
  };
  return std::make_unique<AgentLink>(loop_, node, std::move(callbacks));
}

ClusterExecutor::Hosts ClusterService::hosts() const {
  ClusterExecutor::Hosts hosts;
  for (const auto& node : config_.nodes) {
    if (node.local || node.agent) hosts.emplace(node.name, make_host(node));
  }
  return hosts;
}

std::shared_ptr<const NodeHost> ClusterService::make_host(const NodeConfig& node) const {
  if (node.local) return std::make_shared<LocalServer>(node.name, node.address, *node.local);
  return agents_.at(node.name)->host();
}

std::vector<std::string> ClusterService::refusals(const ClusterConfig* wanted) const {
  return reload_refusals(config_, wanted, controller_.memory(), controller_.actions());
}

// First who is asked and acted on, then who decides: no decision sees one without the other, because none is made in
// between.
void ClusterService::reconfigure(const ClusterConfig& wanted, const QuarantineConfig& quarantine) {
  const ClusterConfig before = std::exchange(config_, wanted);
  auto links = std::exchange(agents_, {});
  ClusterExecutor::Hosts hosts;
  std::vector<AgentLink*> new_links;
  for (const auto& node : config_.nodes) {
    const NodeConfig* was = find_node_config(before, node.name);
    const bool same =
        was != nullptr && was->address == node.address && was->local == node.local && was->agent == node.agent;
    if (same && node.agent) {
      agents_.emplace(node.name, std::move(links.at(node.name)));
    } else if (node.agent) {
      new_links.push_back(agents_.emplace(node.name, make_agent_link(node)).first->second.get());
    }
    if (!node.local && !node.agent) continue;
    hosts.emplace(node.name, same ? executor_.host(node.name) : make_host(node));
  }
  links.clear();
  monitor_.reconfigure(config_);
  host_watch_.reconfigure(hosts);
  executor_.reconfigure(config_, std::move(hosts));
  controller_.reconfigure(policy_of(config_, ""), config_.nodes);
  keeper_.reconfigure(quarantine);
  readiness_.reconfigure(config_);
  certificates_.reconfigure(config_);
  authorities_.watch(authorities_of(config_));
  const bool had_read_only = read_only_.has_value();
  follow_read_only_config();
  if (read_only_ && !had_read_only)
    lead_readers(
        controller_.published_route(), [] {}, [] {});
  tell_agents_of_term();
  for (AgentLink* link : new_links) link->start();
  step_soon();
}

}  // namespace pgkeel
