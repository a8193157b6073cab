// Who may change something through the admin endpoint: whoever shows a bearer token of the file. For an address that
// shows one wrong token after the other a pause begins, longer each time, in which none that it shows is looked at:
// that is what limits guessing. The same wrong one again is no guess: a script with an old token keeps nobody out that
// is behind the same address. Of IPv6 the network (/64) counts as the address. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin/admin_token.h"
#include "proxy/base/time.h"

namespace pgkeel {

class TokenGuard {
 public:
  // Empty: nobody is let in.
  explicit TokenGuard(AdminTokens tokens) : tokens_(std::move(tokens)) {}

  enum class Verdict {
    kGranted,
    kMissing,  // no Authorization header, or no bearer token in it
    kWrong,
    kTooMany,  // the pause is not over, and what was shown was not looked at
  };
  struct Answer {
    Verdict verdict = Verdict::kMissing;
    Duration retry_after{};      // kTooMany
    bool worth_telling = false;  // kWrong: the first of a series, or one that begins a pause
    std::string holder = {};     // kGranted: of the token
  };

  Answer check(const std::string& address, std::string_view authorization, Instant now);

  [[nodiscard]] bool has_token() const { return !tokens_.empty(); }

  static constexpr std::uint32_t kWrongFree = 5;  // before the first pause
  static constexpr std::size_t kAddressesMax = 1024;

 private:
  struct Failures {
    std::uint32_t count = 0;          // of different ones
    std::vector<std::size_t> hashes;  // of the newest of these, to know them again
    Instant last{};
    Instant blocked_until{};
  };
  [[nodiscard]] const AdminToken* find(std::string_view shown) const;
  void make_room(Instant now);

  const AdminTokens tokens_;
  std::mutex mutex_;                          // guards failures_
  std::map<std::string, Failures> failures_;  // by address
};

}  // namespace pgkeel
