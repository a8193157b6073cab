// Tells when a file descriptor is ready (poll(2) semantics, level-triggered). Loop's thread only. It does not own the
// descriptor: destroy the watch, then close the descriptor. Destroying it inside its own callback is allowed.
#pragma once

#include <functional>
#include <memory>

namespace pgkeel {

class Loop;

struct FdInterest {
  bool readable = false;
  bool writable = false;
  bool peer_closed = false;  // the peer sent FIN, or the connection was reset, although nobody reads
  bool failed = false;       // reported only: the descriptor has an error, and is watched no more until set_interest()

  friend bool operator==(const FdInterest&, const FdInterest&) = default;
};

class FdWatch {
 public:
  // An error on the descriptor is reported as readable and writable: the read or write then names it.
  FdWatch(Loop& loop, int descriptor, std::function<void(FdInterest ready)> on_ready);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  void set_interest(FdInterest interest);  // nothing: not watched at all

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
