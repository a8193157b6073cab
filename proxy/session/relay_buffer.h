// What one direction of a session has read and not passed on: first the bytes that the receiver's socket did not take,
// then the beginning of a message that is not whole yet. Pure. It stays as small as one read, because the sender is not
// read from while bytes wait.
#pragma once

#include <cstddef>
#include <vector>

#include "proxy/base/bytes.h"

namespace pgkeel {

class RelayBuffer {
 public:
  [[nodiscard]] bool is_empty() const { return bytes_.empty(); }
  [[nodiscard]] std::size_t waiting_bytes() const { return ready_ - sent_; }
  [[nodiscard]] Bytes waiting() const { return Bytes(bytes_).subspan(sent_, ready_ - sent_); }
  [[nodiscard]] std::size_t partial_bytes() const { return bytes_.size() - ready_; }
  [[nodiscard]] Bytes partial() const { return Bytes(bytes_).subspan(ready_); }

  // Drops the partial message: the caller has it, or it will never be whole.
  void drop_partial() {
    bytes_.resize(ready_);
    give_back_memory();
  }

  // Both expect that there is no partial message.
  void add_waiting(Bytes more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    ready_ = bytes_.size();
  }
  void add_partial(Bytes beginning) { bytes_.insert(bytes_.end(), beginning.begin(), beginning.end()); }

  void sent(std::size_t count) {
    sent_ += count;
    if (sent_ < ready_) return;
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(ready_));
    sent_ = 0;
    ready_ = 0;
    give_back_memory();
  }
  void clear() {
    bytes_.clear();
    sent_ = 0;
    ready_ = 0;
    give_back_memory();
  }
  [[nodiscard]] std::size_t held_bytes() const { return bytes_.capacity(); }  // of memory

 private:
  // An idle session holds no more than this; a piece of a small message now and then costs no allocation.
  static constexpr std::size_t kKeptCapacity = 256;

  void give_back_memory() {
    if (bytes_.empty() && bytes_.capacity() > kKeptCapacity) std::vector<std::byte>().swap(bytes_);
  }

  std::vector<std::byte> bytes_;
  std::size_t sent_ = 0;   // of bytes_, what the socket has taken
  std::size_t ready_ = 0;  // of bytes_, what may be sent
};

}  // namespace pgkeel
