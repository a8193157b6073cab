#include "proxy/io/loop.h"

#include <cassert>
#include <utility>
#include <vector>

#include <uv.h>

#include "proxy/io/handle.h"

namespace pgkeel {

struct Loop::Deferred {
  uv_check_t handle{};  // runs after the callbacks of one round of I/O
  uv_idle_t idle{};     // keeps that round from sleeping while tasks wait
  std::vector<std::function<void()>> tasks;
};

Loop::Loop() : loop_(std::make_unique<uv_loop_t>()), deferred_(std::make_unique<Deferred>()) {
  const int status = uv_loop_init(loop_.get());
  assert(status == 0);
  uv_check_init(loop_.get(), &deferred_->handle);
  uv_idle_init(loop_.get(), &deferred_->idle);
  deferred_->handle.data = this;
  deferred_->idle.data = this;
  uv_check_start(&deferred_->handle, [](uv_check_t* check) {
    auto& deferred = *static_cast<Loop*>(check->data)->deferred_;
    const auto tasks = std::exchange(deferred.tasks, {});
    uv_idle_stop(&deferred.idle);
    for (const auto& task : tasks) task();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&deferred_->handle));
}

Loop::~Loop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&deferred_->handle), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&deferred_->idle), nullptr);
  uv_run(loop_.get(), UV_RUN_DEFAULT);
  const int status = uv_loop_close(loop_.get());
  assert(status == 0);
}

void Loop::run() {
  uv_run(loop_.get(), UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(loop_.get());
}

void Loop::defer(std::function<void()> task) {
  deferred_->tasks.push_back(std::move(task));
  uv_idle_start(&deferred_->idle, [](uv_idle_t*) {});
}

bool Loop::waits_with_time_out() const {
  return uv_backend_timeout(loop_.get()) >= 0;
}

Instant Loop::now() const {
  return Instant(std::chrono::milliseconds(uv_now(loop_.get())));
}

}  // namespace pgkeel
