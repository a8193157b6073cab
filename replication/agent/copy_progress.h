// How far a copy of a data directory is, told at every tenth of the way. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "proxy/base/time.h"

namespace pgkeel {

class CopyProgress {
 public:
  // `whole_bytes`: what it will take on the disk when it is complete; 0: not known, so that nothing is told.
  CopyProgress(std::string copy, std::uint64_t whole_bytes, std::function<void(const std::string&)> say)
      : copy_(std::move(copy)), whole_bytes_(whole_bytes), say_(std::move(say)) {}

  // Looks at what is there by now; not again before ten times as long as that took is over.
  void look();

 private:
  const std::string copy_;
  const std::uint64_t whole_bytes_;
  const std::function<void(const std::string&)> say_;
  Instant not_before_{};
  std::uint64_t told_ = 0;
};

}  // namespace pgkeel
