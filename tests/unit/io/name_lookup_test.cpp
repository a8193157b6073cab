#include "proxy/io/name_lookup.h"

#include <algorithm>
#include <optional>

#include <doctest/doctest.h>

#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

using Answer = Result<std::vector<std::string>>;

Answer look_up(const std::string& host) {
  Loop loop;
  std::optional<Answer> answer;
  const NameLookup lookup(loop, host, [&](Answer result) { answer = std::move(result); });
  CHECK_FALSE(answer.has_value());
  REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
  return *answer;
}

}  // namespace

TEST_CASE("a name has addresses, and a numeric address is its own") {
  const auto addresses = look_up("localhost");
  REQUIRE(addresses.has_value());
  CHECK(std::any_of(addresses->begin(), addresses->end(),
                    [](const auto& address) { return address == "127.0.0.1" || address == "::1"; }));
  CHECK(*look_up("127.0.0.9") == std::vector<std::string>{"127.0.0.9"});
}

TEST_CASE("a name that can't be is an error that names it") {
  const auto answer = look_up("no such host");
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().message.starts_with("cannot look up no such host: "));
}

TEST_CASE("a lookup that nobody waits for ends quietly") {
  Loop loop;
  bool called = false;
  {
    const NameLookup lookup(loop, "localhost", [&](const Answer&) { called = true; });
  }
  loop.run();
  CHECK_FALSE(called);
}
