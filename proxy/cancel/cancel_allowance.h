// How many cancel requests of sessions that are not here may be asked about elsewhere. A cancel request needs no login,
// and each question costs the control threads of all pgkeels something; so there are so many a second in all, and half
// as many for one sender, which leaves the other half to the others. One sender may be a balancer with thousands of
// clients behind it. What is too many is dropped, as PostgreSQL may drop one too. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "proxy/base/ip_address.h"
#include "proxy/base/time.h"

namespace pgkeel {

class CancelAllowance {
 public:
  static constexpr double kRate = 200;  // a second
  static constexpr double kBurst = 2 * kRate;
  static constexpr double kPartOfOne = 0.5;  // of both

  // False: it is one too many.
  bool take(const IpAddress& sender, Instant now);

  [[nodiscard]] std::size_t senders() const;  // that are kept in mind

 private:
  struct Bucket {
    double tokens = 0;
    Instant filled_at{};

    void fill(double part, Instant now);
  };
  using Sender = decltype(IpAddress::bytes);  // network_of_sender()

  mutable std::mutex mutex_;  // guards all below
  Bucket all_{.tokens = kBurst};
  std::map<Sender, Bucket> by_sender_;  // those that are not full
  Instant forgot_at_{};
};

}  // namespace pgkeel
