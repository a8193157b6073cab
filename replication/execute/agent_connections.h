// Connections to one agent. A TLS handshake takes longer than a fence, so some are kept open: an agent closes one that
// has said nothing for a second, so the watch takes turns on them, and whoever has a job finds one that is awake. The
// certificates are looked at between two calls of the watch, and renewed without one being cut off. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/https_client.h"
#include "proxy/io/tls_identity_files.h"

namespace pgkeel {

class AgentConnections {
 public:
  explicit AgentConnections(const AgentAccessConfig& access);
  AgentConnections(const AgentConnections&) = delete;
  AgentConnections& operator=(const AgentConnections&) = delete;

  // One connection, which is kept for others when this goes.
  class Lease {
   public:
    Lease(AgentConnections& home, std::unique_ptr<HttpsClient> client, std::uint64_t generation)
        : home_(&home), client_(std::move(client)), generation_(generation) {}
    ~Lease() {
      if (client_) home_->give_back(std::move(client_), generation_);
    }
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    [[nodiscard]] HttpsClient* get() const { return client_.get(); }
    HttpsClient* operator->() const { return client_.get(); }

   private:
    AgentConnections* home_;
    std::unique_ptr<HttpsClient> client_;
    std::uint64_t generation_;
  };

  // An error where our certificate cannot be used. For a job: the one that was used last.
  Result<Lease> for_job();
  // The one that has rested longest.
  Result<Lease> for_watch();

  // Looks at the certificate's files. What is new of them, for a person; empty: nothing.
  struct News {
    std::string text;
    bool is_trouble = false;
  };
  News look_at_certificates();
  [[nodiscard]] std::optional<WallTime> certificate_valid_until() const;  // nothing: there is none that can be used

 private:
  struct Resting {
    std::unique_ptr<HttpsClient> client;
    std::uint64_t generation;
  };
  Result<Lease> lease(bool newest, std::size_t resting_least);
  void give_back(std::unique_ptr<HttpsClient> client, std::uint64_t generation);

  const std::string url_;
  mutable std::mutex mutex_;  // guards all below
  TlsIdentityFiles identity_;
  std::uint64_t generation_ = 0;  // of the identity: a connection with an older one is closed when it is given back
  std::deque<Resting> resting_;   // longest first
};

}  // namespace pgkeel
