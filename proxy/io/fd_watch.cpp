#include "proxy/io/fd_watch.h"

#include <cassert>
#include <utility>

#include <uv.h>

#include "proxy/io/handle.h"
#include "proxy/io/loop.h"

namespace pgkeel {

struct FdWatch::Inner {
  uv_poll_t handle{};
  std::function<void(FdInterest)> on_ready;
  FdInterest interest;
};

FdWatch::FdWatch(Loop& loop, int descriptor, std::function<void(FdInterest)> on_ready)
    : inner_(std::make_unique<Inner>()) {
  const int status = uv_poll_init(loop.handle(), &inner_->handle, descriptor);
  assert(status == 0);
  inner_->handle.data = inner_.get();
  inner_->on_ready = std::move(on_ready);
}

FdWatch::~FdWatch() {
  io_detail::close_and_free(std::move(inner_));
}

void FdWatch::set_interest(FdInterest interest) {
  if (interest == inner_->interest) return;
  inner_->interest = interest;
  const int events = (interest.readable ? UV_READABLE : 0) | (interest.writable ? UV_WRITABLE : 0) |
                     (interest.peer_closed ? UV_DISCONNECT : 0);
  if (events == 0) {
    uv_poll_stop(&inner_->handle);
    return;
  }
  uv_poll_start(&inner_->handle, events, [](uv_poll_t* poll, int status, int ready) {
    auto& inner = *static_cast<Inner*>(poll->data);
    if (status < 0) {
      inner.interest = {};  // libuv has stopped the watch
      inner.on_ready({.readable = true, .writable = true, .peer_closed = true, .failed = true});
      return;
    }
    inner.on_ready({.readable = (ready & UV_READABLE) != 0,
                    .writable = (ready & UV_WRITABLE) != 0,
                    .peer_closed = (ready & UV_DISCONNECT) != 0});
  });
}

}  // namespace pgkeel
