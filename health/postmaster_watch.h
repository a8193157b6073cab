// Watches the postmaster of a data directory on this machine: its end is known in microseconds, long before a connect
// is refused. Also tells when the data directory is not that of the server at the node's address: what is known of its
// processes says nothing of the node then. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/base/time.h"
#include "proxy/io/postmaster_file.h"
#include "proxy/io/process_watch.h"

namespace pgkeel {

class Loop;

class PostmasterWatch {
 public:
  // `on_death` is called in the loop's round in which the process ended. `port` 0: whichever the server is on.
  PostmasterWatch(Loop& loop, std::string data_directory, std::uint16_t port,
                  std::function<void(std::string detail)> on_death);

  // Looks for the postmaster, unless one is watched already. `answers`: the server has just answered, so that
  // postmaster.pid is not left over from a dead one whose number another process bears now; `started_at`: when it
  // started, as it said, on this machine's clock.
  void arm(bool answers, std::optional<WallTime> started_at = std::nullopt);
  [[nodiscard]] bool armed() const { return watch_ != nullptr; }
  [[nodiscard]] std::optional<pid_t> pid() const { return watch_ ? std::optional(watch_->pid()) : std::nullopt; }

  // Why the data directory is not that of the node's server; empty: nothing speaks against it.
  [[nodiscard]] const std::string& doubt() const { return doubt_; }

 private:
  void exited();
  void compare(const std::optional<PostmasterFile>& file, std::optional<WallTime> started_at);

  Loop& loop_;
  std::string data_directory_;
  std::uint16_t port_;
  std::function<void(std::string)> on_death_;
  std::unique_ptr<ProcessWatch> watch_;
  bool confirmed_ = false;  // what is watched started when the server that answers did
  int mismatches_ = 0;      // in a row, of answers that postmaster.pid does not fit
  std::string doubt_;
};

}  // namespace pgkeel
