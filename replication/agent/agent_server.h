// The agent's door: its API over HTTPS, for pgkeel alone (mutual TLS, README.md lists the calls). Keeps what it reports
// of the postmaster and the job, and lets a pgkeel that waits know in the same moment when that changes. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proxy/base/address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/tls_session.h"
#include "replication/agent/agent_protocol.h"
#include "replication/agent/job_desk.h"
#include "replication/agent/lost_desk.h"
#include "replication/agent/notice_board.h"

namespace pgkeel {

class AgentServer {
 public:
  // `facts` blocks; called on the server's threads. The references outlive the server.
  AgentServer(JobDesk& jobs, NoticeBoard& notices, LostDesk& lost,
              std::function<Result<NodeHostFacts>(const std::string& node, const HostPort& address)> facts);
  ~AgentServer();  // answers who waits, and ends
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  // `certificate_ends`: told to pgkeel, which warns in time.
  Result<void> listen(const HostPort& address, std::shared_ptr<const TlsAcceptor> tls, WallTime certificate_ends);
  void use_certificate(std::shared_ptr<const TlsAcceptor> tls, WallTime certificate_ends);
  [[nodiscard]] std::uint16_t port() const;

  // `uptime` is filled in with each answer.
  void postmaster_runs(const ReportedPostmaster& postmaster);
  void postmaster_ended(Duration since_boot);
  void changed();  // jobs or notices

  // When a pgkeel was last heard, by since_boot(); at first when this object was made.
  [[nodiscard]] Duration last_heard() const;

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
