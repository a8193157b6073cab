#include "proxy/metrics/agreement_metrics.h"

#include <algorithm>

#include "proxy/metrics/families.h"

namespace pgkeel {
namespace {

using prometheus::MetricType;

// What is the same for every cluster.
void add_own(Families& families, const AgreementStatus& agreement) {
  struct Row {
    const char* name;
    const char* help;
    double (*value)(const AgreementStatus&);
  };
  static constexpr Row kRows[] = {
      {"pgkeel_leads", "1 where this one of several pgkeels decides",
       [](const AgreementStatus& its) { return its.leads ? 1.0 : 0.0; }},
      {"pgkeel_leader_known", "0 where nobody of several pgkeels decides",
       [](const AgreementStatus& its) { return its.leader.empty() ? 0.0 : 1.0; }},
      {"pgkeel_leader_term", "Grows with each change of leader",
       [](const AgreementStatus& its) { return number(its.term); }},
      {"pgkeel_lease_remaining_seconds", "How much longer this pgkeel's own lease holds; 0: it has none",
       [](const AgreementStatus& its) { return seconds(its.lease_for); }},
      {"pgkeel_etcd_reachable", "1 where etcd answers this pgkeel",
       [](const AgreementStatus& its) { return its.etcd_problem.empty() ? 1.0 : 0.0; }},
      {"pgkeel_promises_wanted", "Of how many other pgkeels it takes a promise to route while etcd is away",
       [](const AgreementStatus& its) { return number(its.promises_wanted); }},
      {"pgkeel_promises_held", "Of how many it holds one now: they are asked for while etcd is away",
       [](const AgreementStatus& its) { return number(its.promises_held); }},
  };
  for (const Row& row : kRows) {
    families.family(row.name, row.help, MetricType::Gauge);
    families.add({}, row.value(agreement));
  }
  families.family("pgkeel_agreement_age_seconds", "Since etcd confirmed this pgkeel's lease", MetricType::Gauge);
  if (agreement.etcd_heard_ago) families.add({}, seconds(*agreement.etcd_heard_ago));
  families.family("pgkeel_leadership_handed_over_total", "By this pgkeel, since it started", MetricType::Counter);
  families.add({{"reason", "order"}}, number(agreement.hand_overs.ordered));
  families.add({{"reason", "sight"}}, number(agreement.hand_overs.by_sight));
  families.add({{"reason", "stop"}}, number(agreement.hand_overs.at_stop));
  families.add({{"reason", "unable"}}, number(agreement.hand_overs.unable));
  families.family("pgkeel_vip_held", "1 where this pgkeel has the virtual IP", MetricType::Gauge);
  if (agreement.vip) families.add({{"address", agreement.vip->address}}, agreement.vip->is_held ? 1 : 0);
}

void add_members(Families& families, const std::vector<MemberStatus>& members) {
  struct Row {
    const char* name;
    const char* help;
    bool (*value)(const MemberStatus&);
  };
  static constexpr Row kRows[] = {
      {"pgkeel_member_has_lease", "1 where the pgkeel has a lease in etcd, as this one knows it",
       [](const MemberStatus& its) { return its.has_lease; }},
      {"pgkeel_member_leads", "1 for the pgkeel that decides, as this one knows it",
       [](const MemberStatus& its) { return its.leads; }},
  };
  for (const Row& row : kRows) {
    families.family(row.name, row.help, MetricType::Gauge);
    for (const auto& member : members) families.add({{"member", member.name}}, row.value(member) ? 1 : 0);
  }
  families.family("pgkeel_member_differences", "Keys of the configuration in which the pgkeel differs from this one",
                  MetricType::Gauge);
  for (const auto& member : members) families.add({{"member", member.name}}, number(member.differs_in.size()));
}

}  // namespace

void add_agreement(Families& families, const std::vector<ClusterStatus>& clusters) {
  const auto any = std::ranges::find_if(clusters, [](const auto& cluster) { return cluster.agreement.has_value(); });
  if (any == clusters.end()) return;
  add_own(families, *any->agreement);
  add_members(families, any->agreement->members);
  families.family("pgkeel_member_follows_route", "1 where all workers of the pgkeel have taken the newest route over",
                  MetricType::Gauge);
  for (const auto& cluster : clusters) {
    if (!cluster.agreement) continue;
    for (const auto& member : cluster.agreement->members)
      families.add({{"cluster", cluster.name}, {"member", member.name}}, member.follows_route ? 1 : 0);
  }
  families.family("pgkeel_member_cannot_decide", "1 where the pgkeel could not decide for the cluster, as it says",
                  MetricType::Gauge);
  for (const auto& cluster : clusters) {
    if (!cluster.agreement) continue;
    for (const auto& member : cluster.agreement->members)
      families.add({{"cluster", cluster.name}, {"member", member.name}}, member.cannot_decide.empty() ? 0 : 1);
  }
  families.family("pgkeel_may_route_seconds",
                  "How much longer this pgkeel may let clients through without another word of etcd or the others",
                  MetricType::Gauge);
  for (const auto& cluster : clusters) {
    if (cluster.agreement) families.add({{"cluster", cluster.name}}, seconds(cluster.agreement->may_route_for));
  }
}

}  // namespace pgkeel
