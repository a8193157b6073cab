// How every libuv handle of ours is owned (libuv design guide, "Handles and Requests"): the owner may die at any time;
// the handle lives on inside `Inner` until libuv has called its close callback. Private to proxy/io.
#pragma once

#include <memory>

#include <uv.h>

namespace pgkeel::io_detail {

// Inner has a member `handle`, a libuv handle whose data points to the Inner.
template <class Inner>
void close_and_free(std::unique_ptr<Inner> inner) {
  uv_close(reinterpret_cast<uv_handle_t*>(&inner.release()->handle),
           [](uv_handle_t* handle) { delete static_cast<Inner*>(handle->data); });
}

}  // namespace pgkeel::io_detail
