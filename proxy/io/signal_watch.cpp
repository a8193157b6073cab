#include "proxy/io/signal_watch.h"

#include <utility>

#include <uv.h>

#include "proxy/io/handle.h"
#include "proxy/io/loop.h"

namespace pgkeel {

struct SignalWatch::Inner {
  uv_signal_t handle{};
  std::function<void()> on_signal;
};

SignalWatch::SignalWatch(Loop& loop, int signal_number, std::function<void()> on_signal)
    : inner_(std::make_unique<Inner>()) {
  uv_signal_init(loop.handle(), &inner_->handle);
  inner_->handle.data = inner_.get();
  inner_->on_signal = std::move(on_signal);
  uv_signal_start(
      &inner_->handle, [](uv_signal_t* signal, int) { static_cast<Inner*>(signal->data)->on_signal(); }, signal_number);
}

SignalWatch::~SignalWatch() {
  io_detail::close_and_free(std::move(inner_));
}

}  // namespace pgkeel
