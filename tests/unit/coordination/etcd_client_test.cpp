// EtcdClient against a script: what becomes of its login and of its watch.
#include "replication/coordination/etcd_client.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/loop.h"
#include "proxy/io/scram_keys.h"
#include "tests/support/scripted_http.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kRead = R"({"header":{"revision":"7"}})";

std::string news(std::uint64_t revision) {
  return R"({"result":{"header":{"revision":")" + std::to_string(revision) + "\"}}}\n";
}

struct Setup {
  explicit Setup(const std::string& user) : client(loop, {{etcd.url()}, user, "secret", {}}) {}

  using Answer = std::optional<Result<std::string, EtcdFailure>>;
  void ask(Answer& answer) {
    answer.reset();
    client.ask(read_prefix("/"), 20s, [&](Result<std::string, EtcdFailure> body) { answer = std::move(body); });
  }
  void wait_for(const std::function<bool()>& condition) { REQUIRE(run_until(loop, condition)); }
  // The next request is a login.
  void let_log_in(const std::string& token) {
    auto login = etcd.next();
    CHECK(login.is_for("/v3/auth/authenticate"));
    login.answer("200 OK", R"({"header":{"revision":"1"},"token":")" + token + "\"}");
  }

  Loop loop;
  ScriptedHttp etcd{loop};
  EtcdClient client;
};

}  // namespace

TEST_CASE("news of a watch is not told to the watch that took its place") {
  Setup setup("");
  std::vector<std::uint64_t> told_first;
  std::vector<std::uint64_t> told_second;
  const auto no_end = [](const std::string& why) { FAIL(why); };
  setup.client.watch(
      "/", 1,
      [&](const EtcdNews& each) {
        told_first.push_back(each.revision);
        setup.client.watch(
            "/", 2, [&](const EtcdNews& later) { told_second.push_back(later.revision); }, no_end);
      },
      no_end);
  auto first = setup.etcd.next();
  first.begin_answer("200 OK", news(11) + news(12));
  auto second = setup.etcd.next();
  CHECK(second.has(R"("start_revision":"2")"));
  second.begin_answer("200 OK", news(21));
  setup.wait_for([&] { return !told_second.empty(); });
  CHECK(told_first == std::vector<std::uint64_t>{11});
  CHECK(told_second == std::vector<std::uint64_t>{21});
}

TEST_CASE("a watch that is begun anew while the first one logs in is one watch") {
  Setup setup("pgkeel");
  std::vector<std::uint64_t> told;
  const auto no_end = [](const std::string& why) { FAIL(why); };
  for (const std::uint64_t from : {1, 2}) {
    setup.client.watch(
        "/", from, [&, from](const EtcdNews& each) { told.push_back(from * 100 + each.revision); }, no_end);
  }
  setup.let_log_in("first");
  setup.let_log_in("second");
  auto watch = setup.etcd.next();
  CHECK(watch.is_for("/v3/watch"));
  CHECK(watch.has(R"("start_revision":"2")"));
  watch.begin_answer("200 OK", news(11));
  setup.wait_for([&] { return !told.empty(); });
  CHECK(told == std::vector<std::uint64_t>{211});
  CHECK_FALSE(setup.etcd.listener().somebody_waits());
  setup.client.end_watch();
}

TEST_CASE("a watch that is over in the middle of a message, or of a login, is told nothing") {
  Setup setup("pgkeel");
  const auto never = [](const auto&) { FAIL("told"); };
  setup.client.watch("/", 1, never, never);
  auto login = setup.etcd.next();
  setup.client.end_watch();
  login.answer("200 OK", R"({"header":{"revision":"1"},"token":"first"})");
  Setup::Answer answer;
  setup.ask(answer);
  setup.let_log_in("second");
  setup.etcd.next().answer("200 OK", kRead);
  setup.wait_for([&] { return answer.has_value(); });
  CHECK(*answer);
  CHECK_FALSE(setup.etcd.listener().somebody_waits());

  setup.client.watch("/", 1, never, never);
  auto watch = setup.etcd.next();
  watch.begin_answer("200 OK", R"({"result":)");
  setup.client.end_watch();
  setup.ask(answer);
  setup.etcd.next().answer("200 OK", kRead);
  setup.wait_for([&] { return answer.has_value(); });
  CHECK(*answer);
}
