// What can happen to several pgkeels, and to the etcd through which they agree.
#include <algorithm>
#include <array>
#include <thread>

#include "tests/chaos/faults.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;

void cut_from(Cluster& cluster, const std::string& host, const std::vector<std::string>& others) {
  for (const auto& other : others) {
    if (other != host) cluster.network().cut_both_ways(host, other);
  }
}

void cut_from_etcd(Cluster& cluster, const std::string& host) {
  cut_from(cluster, host, cluster.pgkeels().etcd().hosts());
}

// The leader of etcd and one more, of three.
void kill_quorum(Cluster& cluster, const Roles& roles) {
  EtcdCluster& etcd = cluster.pgkeels().etcd();
  const auto another =
      std::ranges::find_if(etcd.hosts(), [&](const std::string& host) { return host != roles.etcd_leader; });
  etcd.kill(roles.etcd_leader);
  etcd.kill(*another);
}

void kill_primary(Cluster& cluster, const Roles& roles) {
  cluster.server(roles.primary).kill_tree();
}

// They have each other and the clients, and nobody else.
void cut_off_leader_and_primary(Cluster& cluster, const Roles& roles) {
  std::vector<std::string> others = cluster.pgkeels().names();
  std::erase(others, roles.leader);
  for (const auto& more : {cluster.pgkeels().etcd().hosts(), cluster.standbys()}) {
    others.insert(others.end(), more.begin(), more.end());
  }
  cut_from(cluster, roles.leader, others);
  cut_from(cluster, roles.primary, others);
}

// Long enough for a leader's lease to be over, so that what comes then meets a new one.
void wait_for_another_leader() {
  std::this_thread::sleep_for(Pgkeels::kLease + 1s);
}

// As an upgrade does it: each is ended in order, and the next one only when it is back.
void restart_in_turn(Cluster& cluster) {
  for (const auto& name : cluster.pgkeels().names()) {
    cluster.pgkeels().end_in_order(name);
    cluster.pgkeels().start(name);
    if (!cluster.pgkeels().wait_until_all_route()) throw std::runtime_error(name + " does not come back");
  }
}

// The same by a process that takes over from each.
void take_over_in_turn(Cluster& cluster) {
  for (const auto& name : cluster.pgkeels().names()) {
    cluster.pgkeels().restart(name);
    if (!cluster.pgkeels().wait_until_all_route()) throw std::runtime_error(name + " does not route again");
  }
}

bool another_leads(Cluster& cluster, const Roles& roles) {
  const std::string leader = cluster.pgkeels().leader();
  return !leader.empty() && leader != roles.leader;
}

bool same_leads(Cluster& cluster, const Roles& roles) {
  return cluster.pgkeels().leader() == roles.leader;
}

bool another_etcd_leads(Cluster& cluster, const Roles& roles) {
  const std::string leader = cluster.pgkeels().etcd().leader();
  return !leader.empty() && leader != roles.etcd_leader;
}

Fault several(const char* kind, std::function<void(Cluster&, const Roles&, Random&)> begin) {
  return {.kind = kind, .begin = std::move(begin), .among = Among::kSeveral};
}

// Of those that no server is hit by, and that leave it to a pgkeel that hears the primary to decide.
Fault without_failover(const char* kind, std::function<void(Cluster&, const Roles&, Random&)> begin,
                       std::function<bool(Cluster&, const Roles&)> shows = nullptr) {
  Fault fault = several(kind, std::move(begin));
  fault.keeps_primary = true;
  fault.shows = std::move(shows);
  return fault;
}

std::vector<Fault> of_pgkeels() {
  std::vector<Fault> faults = {
      without_failover(
          "kill leader", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().kill(r.leader); }, another_leads),
      without_failover("kill follower", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().kill(r.follower); }),
      without_failover(
          "freeze leader", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().freeze(r.leader); }, another_leads),
      without_failover("freeze follower", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().freeze(r.follower); }),
      without_failover(
          "end leader in order", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().end_in_order(r.leader); },
          another_leads),
      without_failover("end follower in order",
                       [](Cluster& c, const Roles& r, Random&) { c.pgkeels().end_in_order(r.follower); }),
      without_failover("restart every pgkeel in turn", [](Cluster& c, const Roles&, Random&) { restart_in_turn(c); }),
      without_failover("every pgkeel in turn: pgkeel restart",
                       [](Cluster& c, const Roles&, Random&) { take_over_in_turn(c); }),
  };
  Fault& restarted = *(faults.end() - 2);
  Fault& taken_over = faults.back();
  restarted.lets_everybody_connect = taken_over.lets_everybody_connect = taken_over.is_unnoticed = true;
  return faults;
}

std::vector<Fault> of_the_network() {
  return {
      without_failover(
          "cut leader and etcd", [](Cluster& c, const Roles& r, Random&) { cut_from_etcd(c, r.leader); },
          another_leads),
      without_failover("cut follower and etcd",
                       [](Cluster& c, const Roles& r, Random&) { cut_from_etcd(c, r.follower); }),
      without_failover(
          "cut leader and primary",
          [](Cluster& c, const Roles& r, Random&) { c.network().cut_both_ways(r.leader, r.primary); }, another_leads),
      without_failover("cut follower and primary",
                       [](Cluster& c, const Roles& r, Random&) { c.network().cut_both_ways(r.follower, r.primary); }),
      without_failover(
          "cut leader and its peers",
          [](Cluster& c, const Roles& r, Random&) { cut_from(c, r.leader, c.pgkeels().names()); }, same_leads),
      without_failover(
          "isolate leader", [](Cluster& c, const Roles& r, Random&) { c.network().isolate(r.leader); }, another_leads),
      several("cut leader and primary from all but clients",
              [](Cluster& c, const Roles& r, Random&) { cut_off_leader_and_primary(c, r); }),
  };
}

std::vector<Fault> of_etcd() {
  return {
      without_failover(
          "kill leader of etcd", [](Cluster& c, const Roles& r, Random&) { c.pgkeels().etcd().kill(r.etcd_leader); },
          another_etcd_leads),
      without_failover("freeze leader of etcd",
                       [](Cluster& c, const Roles& r, Random&) { c.pgkeels().etcd().freeze(r.etcd_leader); }),
      without_failover("isolate leader of etcd",
                       [](Cluster& c, const Roles& r, Random&) { c.network().isolate(r.etcd_leader); }),
      without_failover(
          "kill quorum of etcd", [](Cluster& c, const Roles& r, Random&) { kill_quorum(c, r); },
          [](Cluster& c, const Roles&) { return c.pgkeels().go_on_by_promises(); }),
      without_failover("kill quorum of etcd, then leader",
                       [](Cluster& c, const Roles& r, Random&) {
                         kill_quorum(c, r);
                         c.pgkeels().kill(r.leader);
                       }),
  };
}

std::vector<Fault> with_the_primary() {
  return {
      several("kill leader and primary",
              [](Cluster& c, const Roles& r, Random&) {
                c.pgkeels().kill(r.leader);
                kill_primary(c, r);
              }),
      several("kill primary, then leader",
              [](Cluster& c, const Roles& r, Random& random) {
                kill_primary(c, r);
                std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(0, 600)(random)));
                c.pgkeels().kill(r.leader);
              }),
      several("freeze leader, kill primary",
              [](Cluster& c, const Roles& r, Random&) {
                c.pgkeels().freeze(r.leader);
                kill_primary(c, r);
              }),
      several("freeze leader, then kill primary",
              [](Cluster& c, const Roles& r, Random&) {
                c.pgkeels().freeze(r.leader);
                wait_for_another_leader();
                kill_primary(c, r);
              }),
      several("cut leader and etcd, kill primary",
              [](Cluster& c, const Roles& r, Random&) {
                cut_from_etcd(c, r.leader);
                kill_primary(c, r);
              }),
      several("kill leader of etcd and primary",
              [](Cluster& c, const Roles& r, Random&) {
                c.pgkeels().etcd().kill(r.etcd_leader);
                kill_primary(c, r);
              }),
      several("kill quorum of etcd and primary",
              [](Cluster& c, const Roles& r, Random&) {
                kill_quorum(c, r);
                kill_primary(c, r);
              }),
  };
}

}  // namespace

std::vector<Fault> faults_of_several_pgkeels() {
  std::vector<Fault> all;
  for (const auto& some : {of_pgkeels(), of_the_network(), of_etcd(), with_the_primary()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace pgkeel::chaos
