// A cluster in which readiness finds nothing: tests take one thing away. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/base/version.h"
#include "replication/model/slot_name.h"
#include "replication/readiness/rules.h"

namespace pgkeel::test {

using namespace std::chrono_literals;

// Three nodes in order, a the primary, with an agent each: nothing to be found. Tests take one thing away.
struct ReadyCluster {
  ReadyCluster() {
    for (const std::string name : {"a", "b", "c"}) {
      NodeReadinessFacts node;
      node.node = name;
      node.address = {"10.0.0." + std::to_string(name[0] - 'a' + 1), 5432};
      node.addresses = {node.address.host};
      node.agent = {.configured = true, .error = "", .version = std::string(pgkeel_version())};
      node.replication_login.tried = node.rewind_login.tried = true;
      node.server = server(name == "a");
      nodes.push_back(std::move(node));
    }
    for (const std::string name : {"b", "c"}) {
      const auto pid = static_cast<std::int32_t>(name[0]);
      at("a").server->senders.push_back({name, pid, "streaming", at(name).address.host});
      SlotFacts slot;
      slot.name = slot_of_node(name);
      slot.active_pid = pid;
      at("a").server->slots.push_back(slot);
      at(name).server->upstream_host = "10.0.0.1";
      at(name).server->upstream_port = 5432;
    }
  }

  static ServerFacts server(bool primary) {
    ServerFacts facts;
    facts.version_number = 150020;
    facts.system_identifier = "7000";
    facts.in_recovery = !primary;
    facts.timeline = 1;
    facts.asked_from = "10.0.0.100";
    facts.settings_are_complete = true;
    for (const auto& [name, value] : std::map<std::string, std::string>{{"wal_level", "replica"},
                                                                        {"hot_standby", "on"},
                                                                        {"wal_log_hints", "on"},
                                                                        {"data_checksums", "off"},
                                                                        {"full_page_writes", "on"},
                                                                        {"fsync", "on"},
                                                                        {"restart_after_crash", "off"},
                                                                        {"synchronous_commit", "on"},
                                                                        {"max_connections", "100"},
                                                                        {"max_wal_senders", "10"},
                                                                        {"max_replication_slots", "10"},
                                                                        {"recovery_target_timeline", "latest"},
                                                                        {"archive_mode", "off"},
                                                                        {"ssl", "off"}})
      facts.settings[name].value = value;
    facts.settings["max_wal_size"] = {"1024", "MB", false};
    facts.settings["max_slot_wal_keep_size"] = {"8192", "MB", false};
    facts.hba = {{HbaLine{.line_number = 1,
                          .type = "host",
                          .databases = {"replication", "all"},
                          .users = {"all"},
                          .address = "10.0.0.0",
                          .netmask = "255.255.255.0",
                          .method = "scram-sha-256",
                          .error = ""}}};
    facts.rights.may_replicate = true;
    facts.replication_role = ReplicationRoleFacts{.may_log_in = true,
                                                  .may_replicate = true,
                                                  .superuser = false,
                                                  .expired = false,
                                                  .may_connect = true,
                                                  .missing_functions = {}};
    return facts;
  }

  NodeReadinessFacts& at(const std::string& name) { return nodes[static_cast<std::size_t>(name[0] - 'a')]; }
  std::string& setting(const std::string& node, const std::string& name) {
    return at(node).server->settings[name].value;
  }

  // "error b replay_paused", one line a finding.
  std::string found() {
    std::string text;
    for (const auto& finding : judged().findings) {
      text += std::string(severity_name(finding.severity)) + " " + (finding.node.empty() ? "-" : finding.node) + " " +
              finding.rule + (finding.subject.empty() ? "" : " [" + finding.subject + "]") + "\n";
      CHECK_FALSE(finding.problem.empty());
      CHECK_FALSE(finding.remedy.empty());
    }
    return text;
  }
  Readiness judged() { return judge_readiness(config, nodes); }
  std::string ready() {
    const auto readiness = judged();
    return std::string(readiness.failover_would_work ? "failover" : "-") +
           (readiness.rejoin_would_work ? " rejoin" : " -");
  }

  ClusterConfig config;
  std::vector<NodeReadinessFacts> nodes;
};

}  // namespace pgkeel::test
