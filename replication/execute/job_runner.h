// Runs what blocks (programs, files) on threads of its own, and brings the outcome back to the loop. Control thread
// only.
#pragma once

#include <functional>
#include <memory>

#include "proxy/base/result.h"

namespace pgkeel {

class Loop;

class JobRunner {
 public:
  explicit JobRunner(Loop& loop);
  // A job that still runs is left behind: its `done` is never called, and the programs that it runs end with the
  // process.
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  using Task = std::function<void()>;
  using Post = std::function<void(Task)>;

  // `work` runs on a new thread and returns what is then called on the loop's thread; what it posts meanwhile is called
  // there before. Where no thread can be had, an error, and nothing runs.
  Result<void> run(std::function<Task(const Post& post)> work);

  [[nodiscard]] bool idle() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace pgkeel
