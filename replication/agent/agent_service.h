// `pgkeel agent`: watches the postmaster of one data directory, serves the API, carries out its jobs, and stops a
// primary that no pgkeel has been heard of for fence_timeout. The thread that calls run() is its loop. PostgreSQL goes
// on when the agent ends, however that ends.
#pragma once

#include <memory>

#include "config/config.h"
#include "proxy/base/result.h"

namespace pgkeel {

class AgentService {
 public:
  // Listens when it returns. An error where the certificates or the state directory can't be used, the address can't
  // be bound, or another pgkeel handles the data directory.
  static Result<std::unique_ptr<AgentService>> create(const AgentConfig& config, const QuarantineConfig& quarantine);
  ~AgentService();

  // Serves until SIGTERM or SIGINT; a job that runs then is recorded as interrupted.
  void run();

  // A program still runs on a thread of a job, or of an export: leave the process without waiting for it.
  [[nodiscard]] bool job_runs() const;

 private:
  struct Inner;
  explicit AgentService(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
