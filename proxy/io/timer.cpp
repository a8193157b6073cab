#include "proxy/io/timer.h"

#include <utility>

#include <uv.h>

#include "proxy/io/handle.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

std::uint64_t whole_milliseconds(Duration duration) {
  if (duration <= Duration::zero()) return 0;
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

struct Timer::Inner {
  uv_timer_t handle{};
  std::function<void()> on_due;
};

Timer::Timer(Loop& loop, std::function<void()> on_due) : inner_(std::make_unique<Inner>()) {
  uv_timer_init(loop.handle(), &inner_->handle);
  inner_->handle.data = inner_.get();
  inner_->on_due = std::move(on_due);
}

Timer::~Timer() {
  io_detail::close_and_free(std::move(inner_));
}

void Timer::start_once(Duration delay) {
  uv_update_time(inner_->handle.loop);
  // libuv counts from the beginning of the millisecond that runs: one more, or it would be early.
  const std::uint64_t milliseconds = delay > Duration::zero() ? whole_milliseconds(delay) + 1 : 0;
  uv_timer_start(
      &inner_->handle, [](uv_timer_t* timer) { static_cast<Inner*>(timer->data)->on_due(); }, milliseconds, 0);
}

void Timer::start_repeating(Duration period) {
  uv_update_time(inner_->handle.loop);
  const auto milliseconds = whole_milliseconds(period);
  uv_timer_start(
      &inner_->handle, [](uv_timer_t* timer) { static_cast<Inner*>(timer->data)->on_due(); }, milliseconds,
      milliseconds);
}

void Timer::stop() {
  uv_timer_stop(&inner_->handle);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&inner_->handle)) != 0;
}

}  // namespace pgkeel
