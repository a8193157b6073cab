#include "replication/execute/job_runner.h"

#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "proxy/io/wakeup.h"

namespace pgkeel {

struct JobRunner::Shared {
  explicit Shared(Loop& loop) : wakeup(std::in_place, loop) {}

  std::mutex mutex;  // guards wakeup: a job may end while its runner does
  std::optional<Wakeup> wakeup;
  int running = 0;  // control thread only
};

JobRunner::JobRunner(Loop& loop) : shared_(std::make_shared<Shared>(loop)) {}

JobRunner::~JobRunner() {
  const std::lock_guard lock(shared_->mutex);
  shared_->wakeup.reset();
}

Result<void> JobRunner::run(std::function<Task(const Post&)> work) {
  const Post post = [shared = shared_](Task task) {
    const std::lock_guard lock(shared->mutex);
    if (shared->wakeup) shared->wakeup->post(std::move(task));
  };
  try {
    std::thread([post, work = std::move(work), state = shared_.get()]() mutable {
      auto done = work(post);
      work = nullptr;  // what it holds must not outlive idle()
      post([state, done = std::move(done)] {
        --state->running;
        done();
      });
    }).detach();
  } catch (const std::system_error& problem) {
    return Error{std::string("no thread for the job: ") + problem.what()};
  }
  ++shared_->running;
  return {};
}

bool JobRunner::idle() const {
  return shared_->running == 0;
}

}  // namespace pgkeel
