#include "proxy/cancel/cancel_allowance.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart = Instant(1h);

IpAddress address(const std::string& text) {
  return *parse_ip_address(text);
}

int taken(CancelAllowance& allowance, const std::string& sender, Instant now, int wanted) {
  int count = 0;
  for (int i = 0; i < wanted; ++i) count += allowance.take(address(sender), now) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("one sender has half of what there is, at once and in the long run, and leaves the rest to others") {
  CancelAllowance allowance;
  CHECK(taken(allowance, "10.0.0.1", kStart, 10'000) == 200);
  CHECK(taken(allowance, "10.0.0.2", kStart, 10) == 10);
  int in_ten_seconds = 0;
  for (Instant now = kStart; now < kStart + 10s; now += 10ms) {
    in_ten_seconds += taken(allowance, "10.0.0.1", now, 100);
    if ((now - kStart) % 100ms == Duration::zero()) CHECK(taken(allowance, "10.0.0.2", now, 1) == 1);
  }
  CHECK(in_ten_seconds >= 990);
  CHECK(in_ten_seconds <= 1010);
}

TEST_CASE("many senders together have what there is, and no more") {
  CancelAllowance allowance;
  int count = 0;
  for (int i = 0; i < 5000; ++i)
    count += taken(allowance, "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), kStart, 1);
  CHECK(count == 400);
  CHECK(taken(allowance, "10.0.0.1", kStart + 1s, 1) == 1);
}

TEST_CASE("the addresses of an IPv6 network are one sender") {
  CancelAllowance allowance;
  int count = 0;
  for (int i = 0; i < 1000; ++i) count += taken(allowance, "2001:db8::" + std::to_string(i), kStart, 1);
  CHECK(count == 200);
  CHECK(taken(allowance, "2001:db8:0:1::1", kStart, 1) == 1);
}

TEST_CASE("senders are forgotten when they have been quiet for a while, and few are kept in mind") {
  CancelAllowance allowance;
  for (int second = 0; second < 100; ++second) {
    for (int i = 0; i < 1000; ++i)
      taken(allowance, "10." + std::to_string(second) + "." + std::to_string(i / 250) + "." + std::to_string(i % 250),
            kStart + second * 1s, 1);
    CHECK(allowance.senders() <= 1200);
  }
  // A quiet one has its whole share again.
  CHECK(taken(allowance, "10.0.0.1", kStart + 110s, 1000) == 200);
}
