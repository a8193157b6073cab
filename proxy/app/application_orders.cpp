// The part of Application that answers and obeys the threads of the admin endpoint.
#include <utility>

#include "proxy/app/application_ask.h"
#include "replication/agent/provision_objection.h"

namespace pgkeel {

std::optional<std::vector<ClusterStatus>> Application::ask_clusters() {
  // A worker that is too busy to look through its sessions is told of as it was.
  constexpr auto kCountLimit = std::chrono::milliseconds(200);
  if (has_ended_) return std::nullopt;
  const auto counted = std::make_shared<std::promise<void>>();
  auto has_counted = counted->get_future();
  wakeup_->post([this, counted] { workers_->count_states([counted] { counted->set_value(); }); });
  has_counted.wait_for(kCountLimit);
  return ask<std::vector<ClusterStatus>>([this] {
    std::vector<ClusterStatus> statuses;
    for (const auto& cluster : clusters_) {
      statuses.push_back(cluster->status());
      add_agreement(statuses.back());
      coordination_certificates_.add_findings(statuses.back().readiness);
      for (const auto& [pid, former] : formers_) {
        for (const Endpoint endpoint : {Endpoint::kWrite, Endpoint::kReadOnly}) {
          const auto draining = former->draining().find(endpoint_name(cluster->name(), endpoint));
          if (draining != former->draining().end()) statuses.back().draining_sessions += draining->second;
        }
      }
    }
    return statuses;
  });
}

std::optional<OrderAnswer> Application::give_order(const std::string& cluster, const OperatorOrder& order,
                                                   bool preview) {
  OperatorOrder judged = order;
  if (order.kind == OrderKind::kProvision) judged.objection = objection_of_host(cluster, order);
  return put_order(cluster, judged, preview);
}

std::optional<OrderAnswer> Application::put_order(const std::string& cluster, const OperatorOrder& order,
                                                  bool preview) {
  return ask_later<OrderAnswer>([this, cluster, order, preview](std::function<void(OrderAnswer)> answered) {
    if (auto* service = find_cluster(cluster)) return service->give_order(order, preview, std::move(answered));
    OrderAnswer answer;
    answer.reason = "no such cluster";
    answered(std::move(answer));
  });
}

std::optional<LeadAnswer> Application::order_to_lead(const LeadRequest& request, const std::string& by) {
  return ask_later<LeadAnswer>([this, request, by](Leadership::Answered answered) {
    const bool is_restarting = giver_ && giver_->is_under_way();
    if (leadership_ && !is_ending() && !is_restarting) return leadership_->order(request, by, std::move(answered));
    LeadAnswer answer;
    answer.reason = is_restarting ? "a restart in place is under way; try again when that is over"
                    : leadership_ ? "pgkeel is shutting down"
                                  : "this pgkeel is alone: [coordination] is not configured";
    answered(std::move(answer));
  });
}

// The host is asked only where nothing else speaks against the order: its answer may take as long as its agent does.
std::string Application::objection_of_host(const std::string& cluster, const OperatorOrder& order) {
  const auto may = put_order(cluster, order, true);
  if (!may || !may->accepted) return "";
  const auto question = ask<ClusterService::ProvisionQuestion>([this, cluster, node = order.node] {
    const auto* service = find_cluster(cluster);
    return service != nullptr ? service->provision_question(node) : ClusterService::ProvisionQuestion{};
  });
  if (!question || !question->host) return "";
  const auto facts = question->host->facts();
  if (!facts) return "the host of " + order.node + " cannot be looked at: " + facts.error().message;
  return objection_to_provision(order.node, *facts, question->primary_version);
}

}  // namespace pgkeel
