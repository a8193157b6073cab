// A server that answers probes over links that it has, but no new login: its postmaster hangs while its backends live,
// or it takes no TLS as server_tls wants it. That is told, and never a reason for a failover: clients that are
// connected work. Once it is known, pgkeel tries to log in itself, so that it ends too where no client comes. Pure.
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
  // How long a login of our own waits for its answer at most. Each one that gets none waits twice as long as the one
  // before: it stays in the queue of a postmaster that hangs, and clients need the places there.
  static constexpr Duration kTrialLimitMax = std::chrono::seconds(60);

  // A login got no answer while no other one was finished, or none that can be used; `logins` counts those of clients
  // that were ever finished. True: it was not known yet.
  bool unanswered(const std::string& node, std::uint64_t epoch, std::uint64_t logins, const std::string& detail,
                  Instant now);

  struct Trial {
    std::string node;
    Duration limit{};
  };
  // A login that has to be tried now. Whoever gets it calls tried() when it has ended; until then no other is due.
  std::optional<Trial> begin_trial(Instant now);
  // `answered`: the server took it, or said why not.
  void tried(const Trial& trial, bool answered, Instant now);

  // The node that takes logins again, or is the primary no more, where it had not.
  std::optional<std::string> review(std::uint64_t epoch, std::uint64_t logins, Instant now);

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
    bool own_login_answered = false;  // since then
  };

  std::optional<Silence> silence_;
  bool trial_runs_ = false;
  Instant tried_at_{};
  Duration trial_limit_ = kCalm;
};

}  // namespace pgkeel
