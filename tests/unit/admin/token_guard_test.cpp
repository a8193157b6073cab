#include "proxy/admin/token_guard.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;
using Verdict = TokenGuard::Verdict;

namespace {

constexpr Instant kStart{1h};
constexpr const char* kRight = "Bearer 0123456789abcdef";
const AdminTokens kTokens = {{"", "0123456789abcdef"}, {"alice", "fedcba9876543210"}};

// A different one each time.
std::string guess() {
  static int number = 0;
  return "Bearer guess " + std::to_string(++number);
}

}  // namespace

TEST_CASE("only the right bearer token is let in, whatever the case of the scheme") {
  TokenGuard guard(kTokens);
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
  TokenGuard guard({});
  CHECK_FALSE(guard.has_token());
  CHECK(guard.check("10.0.0.1", "Bearer ", kStart).verdict == Verdict::kMissing);
  CHECK(guard.check("10.0.0.1", kRight, kStart).verdict == Verdict::kWrong);
}

TEST_CASE("whose token it was is told") {
  TokenGuard guard(kTokens);
  CHECK(guard.check("10.0.0.1", kRight, kStart).holder.empty());
  CHECK(guard.check("10.0.0.1", "Bearer fedcba9876543210", kStart).holder == "alice");
}

TEST_CASE("an address that guesses has to wait, longer each time, and nothing is looked at meanwhile; others do not") {
  TokenGuard guard(kTokens);
  Instant now = kStart;
  for (std::uint32_t i = 1; i < TokenGuard::kWrongFree; ++i) {
    const auto answer = guard.check("10.0.0.1", guess(), now);
    CHECK(answer.verdict == Verdict::kWrong);
    CHECK(answer.worth_telling == (i == 1));
    CHECK(answer.retry_after == 0s);
  }
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    const auto last = guard.check("10.0.0.1", guess(), now);
    CHECK(last.verdict == Verdict::kWrong);
    CHECK(last.worth_telling);
    CHECK(last.retry_after == pause);
    for (const std::string& early : {guess(), std::string(kRight), std::string()}) {
      const auto answer = guard.check("10.0.0.1", early, now + pause - 1ms);
      CHECK(answer.verdict == Verdict::kTooMany);
      CHECK(answer.retry_after == 1ms);
    }
    now += pause;
  }
  CHECK(guard.check("10.0.0.2", kRight, now - 1ms).verdict == Verdict::kGranted);
  CHECK(guard.check("10.0.0.1", kRight, now).verdict == Verdict::kGranted);
  CHECK(guard.check("10.0.0.1", guess(), now).retry_after == 0s);  // a right one begins anew
}

TEST_CASE("the same wrong token again and again is no guess, and keeps nobody out behind the same address") {
  TokenGuard guard(kTokens);
  for (int i = 0; i < 100; ++i) {
    const auto answer = guard.check("10.0.0.1", "Bearer of yesterday", kStart);
    CHECK(answer.verdict == Verdict::kWrong);
    CHECK(answer.worth_telling == (i == 0));
  }
  CHECK(guard.check("10.0.0.1", kRight, kStart).verdict == Verdict::kGranted);
}

TEST_CASE("a network of IPv6 is one address to guess from, and those of IPv4 in it are not") {
  TokenGuard guard(kTokens);
  for (std::uint32_t i = 0; i < TokenGuard::kWrongFree; ++i)
    (void)guard.check("2001:db8::" + std::to_string(i + 1), guess(), kStart);
  CHECK(guard.check("2001:db8::ffff:1", kRight, kStart).verdict == Verdict::kTooMany);
  CHECK(guard.check("2001:db8:0:1::1", kRight, kStart).verdict == Verdict::kGranted);
  for (std::uint32_t i = 0; i < TokenGuard::kWrongFree; ++i) (void)guard.check("::ffff:10.0.0.1", guess(), kStart);
  CHECK(guard.check("::ffff:10.0.0.1", kRight, kStart).verdict == Verdict::kTooMany);
  CHECK(guard.check("::ffff:10.0.0.2", kRight, kStart).verdict == Verdict::kGranted);
}

TEST_CASE("wrong tokens are forgotten, and addresses without end do not take memory without end") {
  TokenGuard guard(kTokens);
  for (std::uint32_t i = 0; i < TokenGuard::kWrongFree; ++i) (void)guard.check("10.0.0.1", guess(), kStart);
  for (std::size_t i = 0; i < TokenGuard::kAddressesMax + 10; ++i)
    (void)guard.check("address " + std::to_string(i), guess(), kStart + 500ms);
  // The oldest had to go, and is at its beginning again.
  CHECK(guard.check("10.0.0.1", guess(), kStart + 600ms).verdict == Verdict::kWrong);
}
