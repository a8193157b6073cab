#include "replication/execute/agent_connections.h"

#include <utility>

namespace pgkeel {
namespace {

// While one of them waits for the agent's news, the other is there for a job.
constexpr std::size_t kKept = 2;

std::string without_slash(std::string url) {
  if (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

AgentConnections::AgentConnections(const AgentAccessConfig& access)
    : url_(without_slash(access.url)),
      identity_(access.tls.ca, access.tls.cert, access.tls.key, CertificateRole::kProxy) {
  identity_.look_now();
}

Result<AgentConnections::Lease> AgentConnections::for_job() {
  return lease(true, 1);
}

Result<AgentConnections::Lease> AgentConnections::for_watch() {
  return lease(false, kKept);
}

Result<AgentConnections::Lease> AgentConnections::lease(bool newest, std::size_t resting_least) {
  const std::lock_guard lock(mutex_);
  if (resting_.size() >= resting_least) {
    auto& place = newest ? resting_.back() : resting_.front();
    Lease taken(*this, std::move(place.client), place.generation);
    newest ? resting_.pop_back() : resting_.pop_front();
    return taken;
  }
  if (!identity_.identity()) return Error{identity_.trouble()};
  const TlsIdentity& identity = *identity_.identity();
  return Lease(*this,
               std::make_unique<HttpsClient>(
                   HttpsPeer{url_, identity.authority.pem, identity.certificate.pem, identity.key.pem}),
               generation_);
}

void AgentConnections::give_back(std::unique_ptr<HttpsClient> client, std::uint64_t generation) {
  std::unique_ptr<HttpsClient> closed;  // after the lock: it says goodbye to the agent
  const std::lock_guard lock(mutex_);
  if (generation != generation_ || client->cancelled()) {
    closed = std::move(client);
    return;
  }
  resting_.push_back({std::move(client), generation});
  if (resting_.size() <= kKept) return;
  closed = std::move(resting_.front().client);
  resting_.pop_front();
}

AgentConnections::News AgentConnections::look_at_certificates() {
  std::deque<Resting> closed;
  const std::lock_guard lock(mutex_);
  switch (identity_.look()) {
    case TlsIdentityFiles::Change::kNone:
      return {};
    case TlsIdentityFiles::Change::kUnusable:
      return {"the new certificate for its agent cannot be used" +
                  std::string(identity_.identity() ? ", so the one before is: " : ": ") + identity_.trouble(),
              true};
    case TlsIdentityFiles::Change::kReplaced:
      break;
  }
  ++generation_;
  closed = std::exchange(resting_, {});
  return {"a new certificate is used for its agent, valid until " + format_wall_time(identity_.valid_until()), false};
}

std::optional<WallTime> AgentConnections::certificate_valid_until() const {
  const std::lock_guard lock(mutex_);
  return identity_.identity() ? std::optional(identity_.valid_until()) : std::nullopt;
}

}  // namespace pgkeel
