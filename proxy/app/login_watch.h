// A server that answers probes over links that it has, but no new login: its postmaster hangs while its backends live,
// or it takes no TLS as server_tls wants it. That is told, and never a reason for a failover: clients that are
// connected work. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pgkeel {

class LoginWatch {
 public:
  // A login got no answer, or none that can be used; `logins` counts those that were ever finished. True: it was not
  // known yet.
  bool unanswered(const std::string& node, std::uint64_t epoch, std::uint64_t logins, const std::string& detail) {
    const bool is_new = !silence_ || silence_->epoch != epoch;
    silence_ = {node, epoch, logins, "accepts no new connections: " + detail};
    return is_new;
  }

  // The node that takes logins again, or is the primary no more, where it had not.
  std::optional<std::string> review(std::uint64_t epoch, std::uint64_t logins) {
    if (!silence_ || (silence_->epoch == epoch && silence_->logins == logins)) return std::nullopt;
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
    std::uint64_t logins = 0;
    std::string note;
  };
  std::optional<Silence> silence_;
};

}  // namespace pgkeel
