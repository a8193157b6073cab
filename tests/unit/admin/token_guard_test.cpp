#include "proxy/admin/token_guard.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;
using Verdict = TokenGuard::Verdict;

namespace {

constexpr Instant kStart{1h};
constexpr const char* kRight = "Bearer 0123456789abcdef";

}  // namespace

TEST_CASE("only the right bearer token is let in, whatever the case of the scheme") {
  TokenGuard guard("0123456789abcdef");
  CHECK(guard.check("10.0.0.1", kRight, kStart).verdict == Verdict::kGranted);
  CHECK(guard.check("10.0.0.1", "bearer 0123456789abcdef", kStart).verdict == Verdict::kGranted);
  for (const char* nothing : {"", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"}) {
    CAPTURE(nothing);
    CHECK(guard.check("10.0.0.1", nothing, kStart).verdict == Verdict::kMissing);
  }
  for (const char* wrong : {"Bearer 0123456789abcde", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0"}) {
    CAPTURE(wrong);
    CHECK(guard.check("10.0.0.2", wrong, kStart).verdict == Verdict::kWrong);
  }
}

TEST_CASE("without a token nobody is let in") {
  TokenGuard guard("");
  CHECK_FALSE(guard.has_token());
  CHECK(guard.check("10.0.0.1", "Bearer ", kStart).verdict == Verdict::kMissing);
  CHECK(guard.check("10.0.0.1", kRight, kStart).verdict == Verdict::kWrong);
}

TEST_CASE("an address that shows wrong tokens has to wait, longer each time; others do not") {
  TokenGuard guard("0123456789abcdef");
  Instant now = kStart;
  for (std::uint32_t i = 1; i < TokenGuard::kWrongFree; ++i) {
    const auto answer = guard.check("10.0.0.1", "Bearer wrong", now);
    CHECK(answer.verdict == Verdict::kWrong);
    CHECK(answer.worth_telling == (i == 1));
    CHECK(answer.retry_after == 0s);
  }
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    const auto last = guard.check("10.0.0.1", "Bearer wrong", now);
    CHECK(last.verdict == Verdict::kWrong);
    CHECK(last.worth_telling);
    CHECK(last.retry_after == pause);
    const auto early = guard.check("10.0.0.1", "Bearer wrong", now + pause - 1ms);
    CHECK(early.verdict == Verdict::kTooMany);
    CHECK(early.retry_after == 1ms);
    now += pause;
  }
  CHECK(guard.check("10.0.0.2", kRight, now - 1ms).verdict == Verdict::kGranted);
  (void)guard.check("10.0.0.1", "Bearer wrong", now);
  // Who has the right one is not kept out by somebody behind the same address.
  CHECK(guard.check("10.0.0.1", kRight, now).verdict == Verdict::kGranted);
  CHECK(guard.check("10.0.0.1", "Bearer wrong", now).retry_after == 0s);  // a right one begins anew
}

TEST_CASE("wrong tokens are forgotten, and addresses without end do not take memory without end") {
  TokenGuard guard("0123456789abcdef");
  for (std::uint32_t i = 0; i < TokenGuard::kWrongFree; ++i) (void)guard.check("10.0.0.1", "Bearer wrong", kStart);
  for (std::size_t i = 0; i < TokenGuard::kAddressesMax + 10; ++i)
    (void)guard.check("address " + std::to_string(i), "Bearer wrong", kStart + 500ms);
  // The oldest had to go, and is at its beginning again.
  CHECK(guard.check("10.0.0.1", "Bearer wrong", kStart + 600ms).verdict == Verdict::kWrong);
}
