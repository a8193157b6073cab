#include "proxy/io/wakeup.h"

#include <mutex>
#include <utility>
#include <vector>

#include <uv.h>

#include "proxy/io/handle.h"
#include "proxy/io/loop.h"

namespace pgkeel {

struct Wakeup::Inner {
  uv_async_t handle{};
  std::mutex mutex;
  std::vector<std::function<void()>> tasks;
  bool closed = false;  // loop's thread only: set by the owner's end, so that the rest of a batch is dropped
};

Wakeup::Wakeup(Loop& loop) : inner_(std::make_unique<Inner>()) {
  uv_async_init(loop.handle(), &inner_->handle, [](uv_async_t* async) {
    auto& inner = *static_cast<Inner*>(async->data);
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(inner.mutex);
      tasks.swap(inner.tasks);
    }
    for (const auto& task : tasks) {
      if (inner.closed) return;
      task();
    }
  });
  inner_->handle.data = inner_.get();
}

Wakeup::~Wakeup() {
  inner_->closed = true;
  io_detail::close_and_free(std::move(inner_));
}

void Wakeup::post(std::function<void()> task) {
  {
    const std::lock_guard lock(inner_->mutex);
    inner_->tasks.push_back(std::move(task));
  }
  uv_async_send(&inner_->handle);
}

}  // namespace pgkeel
