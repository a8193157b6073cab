// Who may change something through the admin endpoint: whoever shows the bearer token. For an address that shows wrong
// ones a pause begins, longer each time, in which wrong ones are told to wait. The right one always gets through: the
// operator may sit behind the same address. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/base/time.h"

namespace pgkeel {

class TokenGuard {
 public:
  // Empty: there is no token, and nobody is let in.
  explicit TokenGuard(std::string token) : token_(std::move(token)) {}

  enum class Verdict {
    kGranted,
    kMissing,  // no Authorization header, or no bearer token in it
    kWrong,
    kTooMany,  // a wrong one again, although wrong ones came from there and the pause is not over
  };
  struct Answer {
    Verdict verdict = Verdict::kMissing;
    Duration retry_after{};      // kTooMany
    bool worth_telling = false;  // kWrong: the first of a series, or one that begins a pause
  };

  Answer check(const std::string& address, std::string_view authorization, Instant now);

  [[nodiscard]] bool has_token() const { return !token_.empty(); }

  static constexpr std::uint32_t kWrongFree = 5;  // before the first pause
  static constexpr std::size_t kAddressesMax = 1024;

 private:
  struct Failures {
    std::uint32_t count = 0;
    Instant last{};
    Instant blocked_until{};
  };
  void make_room(Instant now);

  const std::string token_;
  std::mutex mutex_;                          // guards failures_
  std::map<std::string, Failures> failures_;  // by address
};

}  // namespace pgkeel
