// One node's agent as pgkeel keeps in touch with it: a call that is always open, which the agent answers in the moment
// in which something changes, and otherwise now and then. Each call tells the agent that pgkeel lives, each answer
// tells pgkeel that the agent does. An agent that does not answer is silence, and no evidence of anything. A call of
// one of several pgkeels that could not act on the node says so, and is no sign of life for fence_timeout. Control
// thread; the calls themselves are made on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "health/agent_evidence.h"
#include "proxy/io/boot_deadline.h"
#include "replication/agent/agent_protocol.h"
#include "replication/agent/node_host.h"
#include "replication/execute/agent_connections.h"

namespace pgkeel {

class Loop;

class AgentLink {
 public:
  struct Callbacks {
    std::function<void(const AgentWord&)> said;           // each answer
    std::function<void(const std::string& text)> notice;  // told once; must be durable when it returns
    // It answers, or (`trouble` not empty) does not any more.
    std::function<void(const std::string& trouble)> changed;
    std::function<void(const AgentConnections::News& news)> certificates;  // ours for it were renewed, or cannot be
  };

  AgentLink(Loop& loop, const NodeConfig& node, Callbacks callbacks);
  ~AgentLink();
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  // Until when this pgkeel may act on the node: it leads, or may lead clients there. Set it before start(), where this
  // pgkeel is not alone, and whenever it changes.
  [[nodiscard]] BootDeadline& acting_until();

  // Begins to call; before that the agent counts as silent.
  void start();

  // The node's host, reached through the agent; doubted while it is silent. Outlives the link.
  [[nodiscard]] std::shared_ptr<const NodeHost> host() const;

  // When the certificates end with which we meet, as far as they are known.
  struct CertificateEnds {
    std::optional<WallTime> agent;
    std::optional<WallTime> ours;
  };
  [[nodiscard]] CertificateEnds certificates_end() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
