#include "proxy/app/login_watch.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("silence is new once, until a login is finished or the primary is another") {
  LoginWatch watch;
  CHECK_FALSE(watch.review(1, 10));
  CHECK(watch.unanswered("a", 1, 10, "a login got no answer for 3s"));
  CHECK_FALSE(watch.unanswered("a", 1, 10, "a login got no answer for 3s"));
  CHECK(watch.concerns("a"));
  CHECK_FALSE(watch.concerns("b"));
  CHECK(watch.note() == "accepts no new connections: a login got no answer for 3s");
  CHECK_FALSE(watch.review(1, 10));
  CHECK(watch.review(1, 11) == "a");
  CHECK(watch.note().empty());
  CHECK_FALSE(watch.review(1, 12));
  CHECK(watch.unanswered("a", 1, 12, "again"));
  CHECK(watch.unanswered("b", 2, 12, "another primary"));
  CHECK(watch.review(3, 12) == "b");
}
