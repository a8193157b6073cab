// EtcdClient against a script: what becomes of its login and of its watch.
#include "replication/coordination/etcd_client.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/loop.h"
#include "proxy/io/scram_keys.h"
#include "replication/coordination/etcd_requests.h"
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
  explicit Setup(const std::string& user, const std::vector<std::string>& more_endpoints = {})
      : client(loop, {endpoints(more_endpoints), user, "secret", {}}) {}

  std::vector<std::string> endpoints(std::vector<std::string> more) const {
    more.insert(more.begin(), etcd.url());
    return more;
  }

  using Answer = std::optional<Result<std::string, EtcdFailure>>;
  void ask(Answer& answer, Duration limit = 20s) {
    answer.reset();
    client.ask(read_prefix("/"), limit, [&](Result<std::string, EtcdFailure> body) { answer = std::move(body); });
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

TEST_CASE("whatever etcd says where a token is too old: it is asked again, once, behind a login") {
  for (const char* text : {"etcdserver: invalid auth token", "etcdserver: user name is empty",
                           "etcdserver: revision of auth store is old", "auth: revision in header is old"}) {
    CAPTURE(text);
    Setup setup("pgkeel");
    Setup::Answer answer;
    setup.ask(answer);
    setup.let_log_in("first");
    auto request = setup.etcd.next();
    CHECK(request.has("Authorization: first"));
    const auto refuse = [&] {
      request.answer("400 Bad Request", R"({"error":")" + std::string(text) + R"(","code":3})");
    };
    refuse();
    setup.let_log_in("second");
    request = setup.etcd.next();
    CHECK(request.has("Authorization: second"));
    request.answer("200 OK", kRead);
    setup.wait_for([&] { return answer.has_value(); });
    CHECK(*answer);

    setup.ask(answer);
    request = setup.etcd.next();
    refuse();
    setup.let_log_in("third");
    request = setup.etcd.next();
    refuse();
    setup.wait_for([&] { return answer.has_value(); });
    REQUIRE_FALSE(*answer);
    CHECK(answer->error().refused);
    setup.ask(answer);
    setup.let_log_in("fourth");
  }
}

TEST_CASE(
    "a gateway that hangs up over a token is logged in to anew, and a request that is not permitted is no reason") {
  Setup setup("pgkeel");
  Setup::Answer answer;
  setup.ask(answer);
  setup.let_log_in("first");
  setup.etcd.next().answer("400 Bad Request", R"({"error":"etcdserver: permission denied","code":7})");
  setup.wait_for([&] { return answer.has_value(); });
  setup.ask(answer);
  auto request = setup.etcd.next();
  CHECK(request.has("Authorization: first"));
  request.client.close();
  setup.wait_for([&] { return answer.has_value(); });
  REQUIRE_FALSE(*answer);
  CHECK_FALSE(answer->error().refused);
  setup.ask(answer);
  setup.let_log_in("second");
}

TEST_CASE(
    "what is told of a refusal: etcd's message, or one line of plain text, in characters that print, and not at "
    "length") {
  const std::vector<std::pair<std::string, std::string>> all = {
      {"CommonName of client\n", "CommonName of client"},
      {"<html>nothing</html>", "it gives no reason"},
      {R"({"error": "cut of)", "it gives no reason"},
      {"etcdserver: requested lease not found", "etcdserver: requested lease not found"},
      {"\x1b[2J", "it gives no reason"},
      {std::string(201, 'x'), "it gives no reason"},
      {"\"a text in JSON\"", "it gives no reason"},
      {"", "it gives no reason"},
      {R"({"error":"\u001b[2Jevil\nline","code":3})", "?[2Jevil?line"},
      {R"({"error":")" + std::string(100'000, 'x') + R"("})", std::string(200, 'x') + "..."}};
  for (const auto& [body, told] : all) {
    CAPTURE(body);
    CHECK(refusal_text(body) == told);
    CHECK_FALSE(lease_is_unknown(body));  // that is etcd's to say, and it says so in JSON
    CHECK_FALSE(token_is_wrong(body));
  }
}

TEST_CASE("whatever etcd says of itself is told in characters that print") {
  const auto news = read_news(R"({"result":{"canceled":true,"cancel_reason":"\u001b[2Jno"}})");
  REQUIRE_FALSE(news);
  CHECK(news.error().message == "etcd ends a watch: ?[2Jno");
  const auto status = read_status(R"({"version":"3.4\u0007","leader":"1","errors":["NOSPACE\n "]})");
  REQUIRE(status);
  CHECK(status->version == "3.4?");
  CHECK(status->errors == std::vector<std::string>{"NOSPACE?"});
}

TEST_CASE("whoever asks while a login is under way waits for that one, and a token that came since is not forgotten") {
  Setup setup("pgkeel");
  Setup::Answer first;
  Setup::Answer second;
  setup.ask(first);
  setup.ask(second);
  setup.let_log_in("old");
  auto one = setup.etcd.next();
  auto two = setup.etcd.next();
  CHECK(one.has("Authorization: old"));
  CHECK(two.has("Authorization: old"));
  const std::string refusal = R"({"error":"etcdserver: invalid auth token","code":16})";
  one.answer("401 Unauthorized", refusal);
  setup.let_log_in("new");
  one = setup.etcd.next();
  CHECK(one.has("Authorization: new"));
  two.answer("401 Unauthorized", refusal);
  two = setup.etcd.next();
  CHECK(two.has("Authorization: new"));
  one.answer("200 OK", kRead);
  two.answer("200 OK", kRead);
  setup.wait_for([&] { return first.has_value() && second.has_value(); });
  CHECK(*first);
  CHECK(*second);
}

TEST_CASE("a watch that etcd ends over its token is followed by a login") {
  for (
      const char* line :
      {R"({"result":{"header":{"revision":"3"},"canceled":true,"cancel_reason":"rpc error: code = PermissionDenied desc = etcdserver: permission denied"}})",
       R"({"result":{"header":{"revision":"3"},"canceled":true,"cancel_reason":"rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"}})",
       R"({"error":{"grpc_code":3,"message":"etcdserver: revision of auth store is old"}})"}) {
    CAPTURE(line);
    Setup setup("pgkeel");
    std::string ended;
    setup.client.watch(
        "/", 1, [](const EtcdNews&) {}, [&](const std::string& why) { ended = why; });
    setup.let_log_in("first");
    auto watch = setup.etcd.next();
    CHECK(watch.has("Authorization: first"));
    watch.begin_answer("200 OK", std::string(line) + "\n");
    setup.wait_for([&] { return !ended.empty(); });
    CHECK(ended.starts_with("etcd ends a watch: "));
    Setup::Answer answer;
    setup.ask(answer);
    setup.let_log_in("second");
  }
}

TEST_CASE("a login that takes longer than a request may costs neither the request nor the endpoint") {
  Setup setup("pgkeel", {"http://127.0.0.1:1"});
  Setup::Answer answer;
  setup.ask(answer, 500ms);
  auto login = setup.etcd.next();
  CHECK(login.is_for("/v3/auth/authenticate"));
  CHECK_FALSE(run_until(
      setup.loop, [&] { return answer.has_value(); }, 550ms));
  login.answer("200 OK", R"({"header":{"revision":"1"},"token":"first"})");
  for (int time = 0; time < 2; ++time) {
    auto request = setup.etcd.next();
    CHECK(request.has("Authorization: first"));
    request.answer("200 OK", kRead);
    setup.wait_for([&] { return answer.has_value(); });
    REQUIRE_MESSAGE(*answer, answer->error().message);
    setup.ask(answer);
  }
}
