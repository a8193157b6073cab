#include "proxy/app/login_watch.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart = Instant(1h);

}  // namespace

TEST_CASE("silence is new once, until a login is finished or the primary is another") {
  LoginWatch watch;
  Instant now = kStart;
  CHECK_FALSE(watch.review(1, 10, now));
  now += 10s;
  CHECK(watch.unanswered("a", 1, 10, "a login got no answer for 3s", now));
  CHECK_FALSE(watch.unanswered("a", 1, 10, "a login got no answer for 3s", now));
  CHECK(watch.concerns("a"));
  CHECK_FALSE(watch.concerns("b"));
  CHECK(watch.note() == "accepts no new connections: a login got no answer for 3s");
  now += 10s;
  CHECK_FALSE(watch.review(1, 10, now));
  CHECK(watch.review(1, 11, now) == "a");
  CHECK(watch.note().empty());
  CHECK_FALSE(watch.review(1, 12, now));
  now += 10s;
  CHECK(watch.unanswered("a", 1, 12, "again", now));
  CHECK(watch.unanswered("b", 2, 12, "another primary", now));
  CHECK(watch.review(3, 12, now) == "b");
}

TEST_CASE("one that answers now and then is told of once, and again when it has answered for a while") {
  LoginWatch watch;
  std::uint64_t logins = 1;
  int told = 0;
  Instant now = kStart;
  for (int second = 0; second < 60; ++second) {
    now += 1s;
    if (second % 4 == 0) ++logins;
    if (watch.unanswered("a", 1, logins, "a login got no answer for 2s", now)) ++told;
    CHECK_FALSE(watch.review(1, logins, now));
  }
  CHECK(told == 1);
  ++logins;
  CHECK_FALSE(watch.review(1, logins, now + 4s));
  CHECK(watch.review(1, logins, now + LoginWatch::kCalm) == "a");
}

TEST_CASE("where no client comes, a login of our own ends it; one at a time, each without an answer waits longer") {
  LoginWatch watch;
  Instant now = kStart;
  CHECK_FALSE(watch.begin_trial(now));
  REQUIRE(watch.unanswered("a", 1, 10, "a login got no answer for 3s", now));
  CHECK_FALSE(watch.begin_trial(now + LoginWatch::kCalm - 1ms));
  Duration limit = LoginWatch::kCalm;
  for (int i = 0; i < 10; ++i) {
    now += LoginWatch::kCalm;
    const auto trial = watch.begin_trial(now);
    REQUIRE(trial);
    CHECK(trial->node == "a");
    CHECK(trial->limit == limit);
    CHECK_FALSE(watch.begin_trial(now + 1h));
    now += limit;
    watch.tried(*trial, false, now);
    CHECK_FALSE(watch.review(1, 10, now));
    CHECK_FALSE(watch.begin_trial(now + LoginWatch::kCalm - 1ms));
    limit = std::min<Duration>(2 * limit, LoginWatch::kTrialLimitMax);
  }
  now += LoginWatch::kCalm;
  const auto trial = watch.begin_trial(now);
  REQUIRE(trial);
  watch.tried(*trial, true, now);
  CHECK_FALSE(watch.begin_trial(now + 1h));
  CHECK(watch.review(1, 10, now) == "a");
  CHECK(watch.note().empty());
  // The next silence begins with the short limit.
  REQUIRE(watch.unanswered("a", 1, 10, "again", now));
  CHECK(watch.begin_trial(now + LoginWatch::kCalm)->limit == LoginWatch::kCalm);
}

TEST_CASE("a client's login without an answer counts more than an older one of our own; another node's says nothing") {
  LoginWatch watch;
  Instant now = kStart;
  watch.unanswered("a", 1, 10, "a login got no answer for 3s", now);
  now += LoginWatch::kCalm;
  auto trial = watch.begin_trial(now);
  REQUIRE(trial);
  watch.tried(*trial, true, now);
  CHECK_FALSE(watch.unanswered("a", 1, 10, "a login got no answer for 3s", now));
  now += LoginWatch::kCalm;
  CHECK_FALSE(watch.review(1, 10, now));
  trial = watch.begin_trial(now);
  REQUIRE(trial);
  CHECK(watch.unanswered("b", 2, 10, "another primary", now));
  watch.tried(*trial, true, now);
  now += LoginWatch::kCalm;
  CHECK_FALSE(watch.review(2, 10, now));
  CHECK(watch.begin_trial(now)->node == "b");
}
