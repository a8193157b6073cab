// A server that answers probes over links that it has, but no new login: its postmaster hangs while its backends live,
// or it takes no TLS as server_tls wants it. That is told, and never a reason for a failover: clients that are
// connected work. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/time.h"

namespace pgkeel {

class LoginWatch {
 public:
  // It counts as accepting logins again when one was finished, and none went unanswered for so long.
  static constexpr Duration kCalm = std::chrono::seconds(5);

  // A login got no answer while no other one was finished, or none that can be used; `logins` counts those that were
  // ever finished. True: it was not known yet.
  bool unanswered(const std::string& node, std::uint64_t epoch, std::uint64_t logins, const std::string& detail,
                  Instant now) {
    const bool is_known = silence_ && silence_->epoch == epoch;
    silence_ = {node, epoch, logins, "accepts no new connections: " + detail, now};
    return !is_known;
  }

  // The node that takes logins again, or is the primary no more, where it had not.
  std::optional<std::string> review(std::uint64_t epoch, std::uint64_t logins, Instant now) {
    if (!silence_) return std::nullopt;
    const bool accepts = silence_->logins != logins && now - silence_->unanswered_at >= kCalm;
    if (silence_->epoch == epoch && !accepts) return std::nullopt;
    const std::string node = silence_->node;
    silence_.reset();
    return node;
  }

  // Empty: nothing is known against it.
  [[nodiscard]] std::string note() const { return silence_ ? silence_->note : ""; }
  [[nodiscard]] bool concerns(const std::string& node) const { return silence_ && silence_->node == node; }

 private:
  struct Silence {
    std::string node;
    std::uint64_t epoch = 0;
    std::uint64_t logins = 0;  // when one went unanswered last
    std::string note;
    Instant unanswered_at{};
  };

  std::optional<Silence> silence_;
};

}  // namespace pgkeel
